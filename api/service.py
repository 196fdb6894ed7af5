"""The parts of a running service, made once by the composition root and passed around."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from api.http.auth import Authenticator
from api.http.write_quota import WriteQuota
from api.journal.drain import Drain
from api.journal.journal import Journal
from api.metrics import Metrics
from api.models.breaker import Breaker
from api.models.crashes import Crashes
from api.models.model_slot import ModelSlot
from api.models.promoter import Promoter
from api.models.proof import Proof
from api.models.revoker import Revoker
from api.registry.audit import AuditTrail
from api.registry.registry import Registry
from api.rollout.controller import RolloutController
from api.scoring.batching import MicroBatcher
from api.scoring.endpoint import Execution
from api.scoring.idempotency import DecisionCache
from api.scoring.labels import LabelKeeper
from api.scoring.lane import ScoringLane
from api.scoring.pipeline import ScoringPipeline
from api.scoring.user_locks import MonotonicClock
from api.settings import Settings
from api.workers.file_watcher import FileWatcher
from api.workers.heartbeat import Heartbeat
from api.workers.merged_metrics import MergedMetrics
from api.workers.orphaned_journals import OrphanedJournals
from api.workers.peers.network import Peers
from api.workers.roster import WorkerRoster
from api.workers.run_dir import RunDir
from shared.machine_clock import MachineClock
from shared.usecase.serving import FeatureSource, ServingUseCase

Dispatch = Callable[[Callable[[], None]], None]
"""Runs something where scoring runs, soon; sources need not be safe for other threads then."""


@dataclass(slots=True, kw_only=True)
class Service:
    """Everything the routes use."""

    settings: Settings
    use_case: ServingUseCase
    engine: Engine
    reading: Engine
    clock: MonotonicClock
    machine_clock: MachineClock
    metrics: Metrics
    authenticator: Authenticator
    write_quota: WriteQuota
    source: FeatureSource
    models: ModelSlot
    registry: Registry
    promoter: Promoter
    rollout_controller: RolloutController
    breaker: Breaker
    crashes: Crashes
    audit: AuditTrail
    proof: Proof
    revoker: Revoker
    journal: Journal
    drain: Drain
    cache: DecisionCache
    pipeline: ScoringPipeline
    batcher: MicroBatcher
    peers: Peers | None
    lane: ScoringLane
    labels: LabelKeeper
    execution: Execution
    dispatcher: "LoopDispatcher"
    file_watcher: FileWatcher
    run_dir: RunDir
    roster: WorkerRoster
    merged_metrics: MergedMetrics
    orphaned_journals: OrphanedJournals
    heartbeat: Heartbeat


class LoopDispatcher:
    """Calls directly until an event loop runs, then through it."""

    def __init__(self) -> None:
        self._through: Dispatch | None = None

    def use(self, through: Dispatch | None) -> None:
        self._through = through

    def __call__(self, work: Callable[[], None]) -> None:
        if self._through is None:
            work()
        else:
            self._through(work)
