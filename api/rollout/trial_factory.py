"""Makes a trial of a rollout: a canary in this process, or a shadow beside it, with score bins."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from api.models.crashes import Crashes
from api.models.model_loader import ModelLoader
from api.models.model_slot import LiveModel, Trial
from api.models.verify import are_probabilities, score_edges_of
from api.registry.registry import BUNDLE, Registry
from api.registry.rollouts import Rollout
from api.rollout.arm_counts import SCORE_EDGES, Counters
from api.rollout.canary import Canary
from api.rollout.shadow import Shadow
from api.rollout.shadow_child import ChildConfig
from api.rollout.shadow_process import ShadowProcess
from api.rollout.shadow_record import ShadowRecordFormat
from shared.bundle.archive import unpack
from shared.contracts.rollouts import Mode
from shared.errors import ModelLoadError, UnderstudyError
from shared.tasks.observed import range_edges
from shared.usecase.serving import ServingUseCase

_log = structlog.get_logger()


class RolloutTrial(Trial, Protocol):
    """A trial of a rollout, with what it counts."""

    @property
    def rollout(self) -> Rollout: ...

    @property
    def counters(self) -> Counters: ...

    def settle(self) -> None:
        """Called about twice a second, never by scoring."""
        ...

    def stop(self) -> None:
        """The trial is over; write what was counted."""
        ...


def score_edges(registry: Registry, champion: str) -> tuple[float, ...]:
    """Fixed ones for a probability; else those of the champion's predictions on held-out rows."""
    meta = registry.meta(champion)
    components: Sequence[str] = () if meta is None else meta.manifest["components"]
    if are_probabilities(components):
        return SCORE_EDGES
    try:
        raw = (registry.root / "versions" / champion / BUNDLE).read_bytes()
        return score_edges_of(components, unpack(raw), SCORE_EDGES)
    except (UnderstudyError, OSError) as error:
        _log.warning("version_has_no_score_bins", version=champion, reason=str(error)[:300])
        return range_edges(())


_UNKNOWN_FD = -1


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """Resource limits of a shadow process."""

    queue_bytes: int
    memory_bytes: int
    hang_seconds: float
    allow_pickle: bool


@dataclass(frozen=True, slots=True)
class TrialFactory:
    """Makes trials from a version's files and the use case's predictions."""

    use_case: ServingUseCase
    registry: Registry
    loader: ModelLoader
    crashes: Crashes
    counters_dir: Path
    limits: ShadowLimits

    def make(
        self, rollout: Rollout, candidate: LiveModel | None, broken: Callable[[str], None]
    ) -> RolloutTrial:
        """The trial, ready to score; `candidate` spares loading it again.

        Raises:
            UnderstudyError, OSError: the candidate does not load here.
        """
        edges = score_edges(self.registry, rollout.champion)
        counters = Counters(self.counters_dir, rollout.stage_key, edges)
        if rollout.mode is Mode.SHADOW:
            return self._shadow(rollout, counters)
        model = candidate or self.loader.load_and_try(rollout.version)
        model = self.crashes.on_trial(model)
        return Canary(rollout, model, self.use_case.prediction, counters, broken)

    def _shadow(self, rollout: Rollout, counters: Counters) -> Shadow:
        """The model stays out of this process altogether."""
        meta = self.registry.meta(rollout.version)
        if meta is None:
            raise ModelLoadError(f"version {rollout.version} is not on disk")
        judge, names = self.use_case.prediction, self.use_case.feature_set.names
        config = ChildConfig(
            bundle=(self.registry.root / "versions" / rollout.version / BUNDLE).resolve(),
            sha256=meta.sha256,
            features=len(names),
            columns=[names.index(name) for name in meta.manifest["feature_names"]],
            judge=f"{judge.__module__}:{judge.__qualname__}",
            rows_fd=_UNKNOWN_FD,
            beat_fd=_UNKNOWN_FD,
            parent_pid=os.getpid(),
            memory_bytes=self.limits.memory_bytes,
            allow_pickle=self.limits.allow_pickle,
            folder=self.counters_dir.resolve(),
            stage_key=rollout.stage_key,
            edges=counters.arms.champion.edges,
        )
        record = ShadowRecordFormat(len(names))
        process = ShadowProcess(config, self.limits.queue_bytes, self.limits.hang_seconds)
        return Shadow(rollout, record, process, judge, counters)
