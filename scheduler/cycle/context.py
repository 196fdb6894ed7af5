"""Everything a cycle works with, wired once; history can be replayed with other parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from learning.dataset.large import LargeRuns
from scheduler.cycle.approvals import Approvals, NoApprovals
from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.champion import ServedBundles, no_keys
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.steps import Note, ShowProgress, shown_progress
from scheduler.publisher import Publisher
from scheduler.scoring_api import ScoringApi
from scheduler.step_cache import Serializer, StepCache
from scheduler.tracked_run import NoTracking, Tracker
from shared.clock import Clock
from shared.keys.store import Keys
from shared.tables.runs import LEASE_SECONDS
from shared.usecase.learning import LearningUseCase

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CycleContext:
    """The collaborators of the learning cycle.

    Attributes:
        reports: whether a page is written for every candidate; costs a few seconds a run.
        step_cache: results of finished steps, so that no step runs twice; None keeps nothing.
        trusted: keys that may have signed the bundle of the live version.
        lease_seconds: how long an announced push excludes other schedulers.
        recipe: a digest of the code, settings and libraries that make a candidate.
        trains_while_fresh: train although the champion is fresh, and promote nothing then: a
            replay compares policies over the candidates of all rounds.
        train_as_of: the instant that runs are about (see `resolve_as_of`); None: now.
        approvals: whether a person has to approve what passed every gate.
        large: when the snapshot is a file rather than a DataFrame; None: never.
        progress: reports the progress of a long step, for display.
    """

    use_case: LearningUseCase
    engine: Engine
    clock: Clock
    api: ScoringApi
    publisher: Publisher
    candidates: CandidateStore
    held_out: HeldOutStore
    interruption: Interruption
    log: FilteringBoundLogger
    latency_budget_ms: float
    seed: int
    reports: bool = True
    tracker: Tracker = field(default_factory=NoTracking)
    progress: ShowProgress = shown_progress
    step_cache: StepCache | None = None
    lease_seconds: float = LEASE_SECONDS
    allow_pickle: bool = False
    trusted: Callable[[], Keys] = no_keys
    train_as_of: str | None = None
    approvals: Approvals = field(default_factory=NoApprovals)
    recipe: str = ""
    trains_while_fresh: bool = False
    large: LargeRuns | None = None

    @property
    def served(self) -> ServedBundles:
        """The loader of the champion's bundle."""
        return ServedBundles(self.api, self.candidates, self.trusted)

    def once(
        self,
        note: Note,
        step: str,
        inputs: Mapping[str, Any],
        serializer: Serializer[T],
        make: Callable[[], T],
    ) -> T:
        """The result of `make` for these inputs, from the cache where there is one."""
        step_cache = self.step_cache
        return (
            make() if step_cache is None else step_cache.once(note, step, inputs, serializer, make)
        )
