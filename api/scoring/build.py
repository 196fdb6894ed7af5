"""Builds the scoring pipeline and what runs it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from api.database import Database
from api.journal.entries import RecordFormat
from api.journal.journal import Journal
from api.metrics import Metrics
from api.models.breaker import Breaker, BreakerLimits
from api.models.build import ModelParts
from api.scoring.batching import MicroBatcher
from api.scoring.committed import ReplyHolder
from api.scoring.endpoint import Execution, in_threads, inline
from api.scoring.idempotency import DecisionCache, DecisionLookup, IdempotencyStore
from api.scoring.labels import LabelKeeper, NoOthers
from api.scoring.lane import LoopDispatcher, ScoringLane
from api.scoring.model_router import ModelRouter
from api.scoring.pending_decisions import PendingDecisions
from api.scoring.pipeline import PipelineParts, ScoringPipeline
from api.scoring.reasons import Explanations
from api.scoring.user_locks import MonotonicClock, NoLocks, StripedLocks, UserLocks
from api.settings import Settings
from api.tracing.tracers import BatchTracer
from api.workers.build import WorkerParts
from api.workers.peers.network import Peers
from api.workers.peers.router import PeersJournals
from shared.usecase.serving import FeatureSource, ServingUseCase, WindowBounds


@dataclass(frozen=True, slots=True)
class Scoring:
    """Everything between a request and its recorded decision.

    Attributes:
        pending: decisions that the database does not have yet.
        execution: where the work of a request runs.
        labels: ground truth on its way to the database.
        explanations: what tells reasons of answers.
        holder: holds replies until their decisions are committed; None: they leave at once.
    """

    pending: PendingDecisions
    breaker: Breaker
    pipeline: ScoringPipeline
    lane: ScoringLane
    batcher: MicroBatcher
    execution: Execution
    labels: LabelKeeper
    explanations: Explanations
    holder: ReplyHolder | None = None

    @property
    def source(self) -> FeatureSource:
        return self.pending.source

    @property
    def cache(self) -> DecisionCache:
        return self.pending.cache

    @property
    def dispatcher(self) -> LoopDispatcher:
        return self.pending.dispatcher


def build_pending_decisions(
    settings: Settings,
    use_case: ServingUseCase,
    database: Database,
    peers: Peers | None,
    records: RecordFormat,
) -> PendingDecisions:
    """Empty: `recall` fills it from the journal."""
    waits = settings.journal_commit == "database"
    return PendingDecisions(
        use_case.feature_source(
            database.reading, WindowBounds(settings.window_users, settings.window_rows)
        ),
        DecisionCache(settings.answered_capacity, records),
        LoopDispatcher(),
        None if peers is None else peers.claims,
        records,
        commit_seconds=settings.journal_commit_seconds if waits else None,
    )


def build_scoring(
    settings: Settings,
    use_case: ServingUseCase,
    clock: MonotonicClock,
    metrics: Metrics,
    *,
    database: Database,
    models: ModelParts,
    workers: WorkerParts,
    journal: Journal,
    pending: PendingDecisions,
    records: RecordFormat,
    tracer: BatchTracer | None,
) -> Scoring:
    """The pipeline and everything that runs it."""
    execution, user_locks = _how_to_run(settings)
    breaker = _breaker(settings, models, workers, metrics)
    cache, peers = pending.cache, workers.peers
    thresholds = models.registry.known_thresholds
    lookup = DecisionLookup(database.reading, use_case.feature_set, thresholds, records)
    pipeline = ScoringPipeline(
        PipelineParts(
            use_case=use_case,
            source=pending.source,
            models=models.slot,
            router=ModelRouter(breaker),
            journal=journal,
            cache=cache,
            decisions=IdempotencyStore(cache, lookup),
            user_locks=user_locks,
            claims=None if peers is None else peers.claims,
            clock=clock,
            metrics=metrics,
            read_seconds=database.read_seconds,
            records=records,
            commits=pending.commits,
        )
    )
    lane = ScoringLane(models.slot, is_far=database.engine.dialect.name != "sqlite")
    holder = None
    if pending.commits is not None:
        holder = ReplyHolder(pipeline, lane, pending.commits)
    others = NoOthers() if peers is None else PeersJournals(peers)
    return Scoring(
        pending=pending,
        breaker=breaker,
        pipeline=pipeline,
        lane=lane,
        batcher=MicroBatcher(pipeline, models.slot, lane, tracer, holder),
        execution=execution,
        labels=LabelKeeper(database.engine, journal, cache, others, records.rows),
        explanations=Explanations(models.loader, models.slot, use_case.feature_set.names),
        holder=holder,
    )


def _breaker(
    settings: Settings, models: ModelParts, workers: WorkerParts, metrics: Metrics
) -> Breaker:
    limits = BreakerLimits(
        settings.breaker_failures,
        settings.breaker_window_seconds,
        settings.scoring_budget_seconds,
    )
    return Breaker(models.slot, workers.roster.roll_back, limits, metrics)


def _how_to_run(settings: Settings) -> tuple[Execution, UserLocks]:
    """Runs work in the lane; in threads for a pickled model, which may hold one for long."""
    if settings.scoring_in_threads == "auto" and not settings.allow_pickle_models:
        return inline, NoLocks()
    pool = ThreadPoolExecutor(settings.scoring_threads, thread_name_prefix="scoring")
    return in_threads(pool), StripedLocks()
