"""The reconciler: keeps the trial that scoring sees equal to the rollout in force, and makes it.

A trial is a canary in this process, or a shadow beside it.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from api.models.crashes import Crashes
from api.models.model_loader import ModelLoader
from api.models.model_slot import LiveModel, ModelSlot, Trial
from api.models.verify import are_probabilities, score_edges_of
from api.registry.registry import BUNDLE, Registry
from api.registry.rollouts import Rollout
from api.rollout.arm_counts import SCORE_EDGES, Counters
from api.rollout.canary import Canary
from api.rollout.shadow import Shadow, ShadowProcess
from api.rollout.shadow_child import ChildConfig, ShadowRecordFormat
from api.workers.file_watcher import RETRY_SECONDS
from api.workers.roster import CONVERGE_SECONDS, LaggingWorker, Workers
from api.workers.run_dir import RunDir, WorkerReport
from shared.bundle.archive import unpack
from shared.contracts.rollouts import Mode
from shared.errors import ModelLoadError, UnderstudyError
from shared.tasks.observed import range_edges
from shared.usecase.serving import ServingUseCase

_log = structlog.get_logger()
_UNKNOWN_FD = -1
TOLD = "rollout"
_POLL_SECONDS = 0.01
_NOT_YET = f"it did not follow within {CONVERGE_SECONDS:g} s"


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


class TrialReconciler:
    """Holds the one trial of this process."""

    def __init__(
        self,
        slot: ModelSlot,
        trials: TrialFactory,
        run_dir: RunDir,
        broken: Callable[[str, str], None],
    ) -> None:
        self._slot = slot
        self._trials = trials
        self._run_dir = run_dir
        self._broken = broken
        self._lock = threading.Lock()
        self._active: RolloutTrial | None = None
        self._trouble: str | None = None
        self._retry_at = 0.0

    def apply(self, wanted: Rollout | None) -> None:
        """Make this the rollout that scoring sees."""
        with self._lock:
            left = self._active
            is_so = wanted == (None if left is None else left.rollout)
            if is_so and self._slot.trial is left:
                return
            if wanted is not None and left is None and time.monotonic() < self._retry_at:
                return
            self._active = None if wanted is None else self._try(wanted)
            if self._active is None:
                self._slot.try_out(None)
            stage = None if self._active is None else self._active.rollout.stage_key
            self._run_dir.publish(TOLD, {"stage": stage, "trouble": self._trouble})
        if left is not None:
            left.stop()

    def settle(self) -> None:
        active = self._active
        if active is not None:
            active.settle()

    def flush(self) -> None:
        """Write what this process counted so far."""
        active = self._active
        if active is not None:
            active.counters.flush()

    def loaded(self, version: str) -> LiveModel | None:
        """The candidate, if this process has it in memory."""
        active = self._active
        if isinstance(active, Canary) and active.rollout.version == version:
            return active.candidate
        return None

    def followed(self, rollout: Rollout) -> Workers:
        """Waits for all workers to have this stage or to report a failure; returns their states."""
        deadline = time.monotonic() + CONVERGE_SECONDS
        while True:
            reports, numbers = self._run_dir.reports(TOLD), range(self._run_dir.total)
            late = [at for at in numbers if reports.get(at, {}).get("stage") != rollout.stage_key]
            troubles = {
                at: reports[at]["trouble"] for at in late if reports.get(at, {}).get("trouble")
            }
            if len(troubles) == len(late) or time.monotonic() >= deadline:
                failed = tuple(LaggingWorker(at, troubles.get(at, _NOT_YET)) for at in late)
                return Workers(len(numbers) - len(late), len(numbers), failed)
            time.sleep(_POLL_SECONDS)

    def told(self) -> dict[int, WorkerReport]:
        return self._run_dir.reports(TOLD)

    def _try(self, wanted: Rollout) -> RolloutTrial | None:
        """None when the candidate cannot be tried here; it is tried again after a while."""
        broken = partial(self._broken, wanted.version)
        try:
            trial = self._trials.make(wanted, self.loaded(wanted.version), broken)
        except (UnderstudyError, OSError) as error:
            self._trouble = str(error)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            _log.error("rollout_not_taken_over", version=wanted.version, error=str(error))
            return None
        self._trouble = None
        if self._slot.try_out(trial):
            return trial
        trial.stop()
        return None
