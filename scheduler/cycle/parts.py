"""Everything a cycle works with, wired once; history can be replayed with other parts."""

from dataclasses import dataclass, field

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.progress import ShowProgress, shown_progress
from scheduler.publisher import Publisher
from scheduler.scoring_api import ScoringApi
from scheduler.tracking.tracker import NoTracking, Tracker
from shared.clock import Clock
from shared.usecase.learning import LearningUseCase


@dataclass(frozen=True, slots=True)
class Parts:
    """The collaborators of the learning cycle.

    Attributes:
        reports: whether a page is written for every candidate; costs a few seconds a run.
        progress: how far a long step is, shown to whoever watches.
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
