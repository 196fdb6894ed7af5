"""From settings to a service: the only place where parts are chosen."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy import Engine

from api.database_metrics import watch_database
from api.http.auth import Authenticator, Limits
from api.http.named_tokens import NamedTokens
from api.http.write_quota import write_quota
from api.journal.drain import Drain
from api.journal.factory import JournalFactory
from api.journal.journal import Journal
from api.journal.sink import DatabaseSink
from api.metrics import Metrics
from api.models.breaker import Breaker, BreakerLimits
from api.models.comparison_metrics import ComparisonMetrics
from api.models.crashes import Crashes, CrashLimits
from api.models.model_loader import ModelLoader
from api.models.model_slot import ModelSlot
from api.models.promoter import Promoter
from api.models.proof import Declared, Proof
from api.models.revoker import Revoker
from api.models.rollback_metrics import LastRollback
from api.models.smoke import ChildSmokeTest, SmokeTest
from api.models.verify import Verifier
from api.registry.audit import AuditTrail
from api.registry.registry import Registry
from api.rollout.collector import RolloutCollector
from api.rollout.controller import RolloutController
from api.rollout.counters import arms_dir
from api.rollout.trial_factory import ShadowLimits, TrialFactory
from api.scoring.batching import MicroBatcher
from api.scoring.endpoint import Execution, in_threads, inline
from api.scoring.idempotency import DecisionCache, DecisionLookup, IdempotencyStore
from api.scoring.labels import LabelKeeper, NoOthers
from api.scoring.lane import ScoringLane
from api.scoring.model_router import ModelRouter
from api.scoring.pipeline import PipelineParts, ScoringPipeline
from api.scoring.user_locks import MonotonicClock, NoLocks, StripedLocks, UserLocks
from api.service import LoopDispatcher, Service
from api.settings import Settings, refuse_unnamed_reach
from api.startup import on_stored
from api.workers.file_watcher import FileWatcher
from api.workers.heartbeat import Heartbeat
from api.workers.merged_metrics import MergedMetrics
from api.workers.orphaned_journals import OrphanedJournals, journal_dir
from api.workers.peers.labels import PeersJournals
from api.workers.peers.network import Peers
from api.workers.roster import WorkerRoster
from api.workers.run_dir import RunDir
from api.workers.worker_context import WorkerContext
from shared.clock import MICROS_PER_SECOND, Clock
from shared.clock_metrics import ClockMetrics
from shared.keys.store import KeyStore
from shared.keys.tokens import API_ROLES, ensure_tokens, read_token
from shared.machine_clock import MACHINE_CLOCK, MachineClock
from shared.tables.engine import connect, connect_for_reading
from shared.usecase.serving import ServingUseCase

# A request that waits longer for history than this is better scored without it.
STATEMENT_TIMEOUT_SECONDS = 5


def build_service(
    settings: Settings,
    use_case: ServingUseCase,
    clock: Clock,
    smoke: SmokeTest | None = None,
    context: WorkerContext | None = None,
) -> Service:
    """Make every part; opens no file but the keys and no connection yet.

    Raises:
        SettingsError: a key or the database URL cannot be used.
    """
    engine = connect(settings.database_url.get_secret_value(), STATEMENT_TIMEOUT_SECONDS)
    strict, metrics, models = MonotonicClock(clock), Metrics(), ModelSlot()
    machine = clock if isinstance(clock, MachineClock) else MACHINE_CLOCK
    registry = Registry(settings.prod_models_dir, settings.served_well_seconds)
    context = context or WorkerContext()
    journals = JournalFactory(settings, DatabaseSink(engine), metrics)
    total, root = settings.api_workers, settings.journal_dir
    journal, drain = journals.journal(journal_dir(root, context.number, total))
    orphaned_journals = OrphanedJournals(root, total, journals.journal)
    execution, user_locks = _how_to_run(settings, engine)
    cache = DecisionCache(settings.answered_capacity)
    read_seconds = settings.history_deadline_ms / 1_000
    reading = connect_for_reading(engine, read_seconds)
    source = use_case.feature_source(reading)
    run_dir = RunDir(settings.run_dir, context.number, total)
    peers: Peers | None = None
    if total > 1:
        peers = Peers(run_dir, use_case.request_model, settings.peer_wait_seconds, metrics)
    lookup = DecisionLookup(reading, use_case.feature_set, registry.thresholds)
    verifier = Verifier(
        use_case,
        KeyStore(settings.keys_dir),
        smoke or _smoke_test(settings),
        clock,
        settings.bundle_max_bytes,
        settings.allow_pickle_models,
    )
    audit = AuditTrail(settings.prod_models_dir / "audit.jsonl", clock)
    crashes = _crashes(settings, context.number, clock)
    promoter = Promoter(
        registry=registry,
        verifier=verifier,
        slot=models,
        audit=audit,
        clock=clock,
        metrics=metrics,
        crashes=crashes,
    )
    roster = WorkerRoster(run_dir, promoter)
    limits = BreakerLimits(
        settings.breaker_failures,
        settings.breaker_window_seconds,
        settings.scoring_budget_seconds,
    )
    breaker = Breaker(models, roster.roll_back, limits, metrics)
    parts = PipelineParts(
        use_case=use_case,
        source=source,
        models=models,
        router=ModelRouter(breaker),
        journal=journal,
        cache=cache,
        decisions=IdempotencyStore(cache, lookup),
        user_locks=user_locks,
        claims=None if peers is None else peers.claims,
        clock=strict,
        metrics=metrics,
        read_seconds=None if reading is engine else read_seconds,
    )
    pipeline, lane = ScoringPipeline(parts), ScoringLane(models)
    loader = ModelLoader(registry, verifier)
    rollout_controller = RolloutController(
        registry=registry,
        promoter=promoter,
        slot=models,
        trials=_trials(settings, use_case, registry, loader, crashes),
        audit=audit,
        clock=clock,
        run_dir=run_dir,
    )
    metrics.registry.register(RolloutCollector(rollout_controller))
    metrics.registry.register(ComparisonMetrics(models))
    metrics.registry.register(LastRollback(registry))
    declared = Declared(settings.served_well_seconds, settings.served_well_rows)
    service = Service(
        settings=settings,
        use_case=use_case,
        engine=engine,
        reading=reading,
        clock=strict,
        machine_clock=machine,
        metrics=metrics,
        authenticator=_authenticator(settings),
        write_quota=write_quota(settings, engine),
        source=source,
        models=models,
        registry=registry,
        promoter=promoter,
        rollout_controller=rollout_controller,
        breaker=breaker,
        crashes=crashes,
        audit=audit,
        proof=Proof(promoter, registry, metrics, clock, declared),
        revoker=Revoker(promoter, registry, audit, clock),
        journal=journal,
        drain=drain,
        cache=cache,
        pipeline=pipeline,
        batcher=MicroBatcher(pipeline, models, lane),
        lane=lane,
        peers=peers,
        labels=LabelKeeper(
            engine, journal, cache, NoOthers() if peers is None else PeersJournals(peers)
        ),
        execution=execution,
        dispatcher=LoopDispatcher(),
        file_watcher=FileWatcher(),
        run_dir=run_dir,
        roster=roster,
        merged_metrics=MergedMetrics(metrics, run_dir),
        orphaned_journals=orphaned_journals,
        heartbeat=Heartbeat(context.heartbeat),
    )
    journals.tell = partial(on_stored, service)
    watch_database(metrics, engine, reading)
    _watch(metrics, journal, drain, orphaned_journals)
    metrics.watch(
        "journal_damaged_parts",
        "Damaged parts of the journal that wait in its folder for a person",
        # one worker looks after the folders of those that are gone
        lambda: (
            journal.damage.copies() + (0 if context.number else orphaned_journals.damaged_parts())
        ),
    )
    metrics.registry.register(ClockMetrics(machine))
    metrics.watch(
        "ingestion_ahead_seconds",
        "How far ingestion stamps are ahead of the clock, after it was set back",
        lambda: strict.ahead_us() / MICROS_PER_SECOND,
    )
    metrics.watch("model_crashes", "Processes that died inside of a model's code", crashes.recent)
    metrics.workers.set(total)
    metrics.worker_starts.set(context.starts)
    metrics.worker_hangs.inc(context.hangs)
    metrics.worker_behind.set_function(lambda: promoter.behind is not None)
    return service


def _crashes(settings: Settings, number: int, clock: Clock) -> Crashes:
    limits = CrashLimits(settings.breaker_crashes, settings.breaker_crash_window_seconds)
    return Crashes(settings.prod_models_dir, number, settings.api_workers, limits, clock)


def _trials(
    settings: Settings,
    use_case: ServingUseCase,
    registry: Registry,
    loader: ModelLoader,
    crashes: Crashes,
) -> TrialFactory:
    limits = ShadowLimits(
        settings.shadow_queue_bytes,
        settings.shadow_memory_bytes,
        settings.shadow_hang_seconds,
        settings.allow_pickle_models,
    )
    return TrialFactory(use_case, registry, loader, crashes, arms_dir(settings.run_dir), limits)


def _smoke_test(settings: Settings) -> SmokeTest:
    return ChildSmokeTest(
        settings.smoke_timeout_seconds,
        settings.smoke_memory_bytes,
        settings.allow_pickle_models,
    )


def _how_to_run(settings: Settings, engine: Engine) -> tuple[Execution, UserLocks]:
    """SQLite and a graph answer in microseconds, a network or somebody's Python do not."""
    quick = engine.dialect.name == "sqlite" and not settings.allow_pickle_models
    if quick and settings.scoring_in_threads == "auto":
        return inline, NoLocks()
    pool = ThreadPoolExecutor(settings.scoring_threads, thread_name_prefix="scoring")
    return in_threads(pool), StripedLocks()


def _authenticator(settings: Settings) -> Authenticator:
    refuse_unnamed_reach(settings)
    ensure_tokens(settings.keys_dir, API_ROLES)
    tokens = {role: read_token(settings.keys_dir, role) for role in API_ROLES}
    limits = Limits.per_minute(settings.failed_attempts_per_minute, settings.changes_per_minute)
    return Authenticator(
        tokens,
        limits,
        scoring_open=settings.scoring_auth == "off",
        trust_anonymous=settings.open_scoring_reach != "anywhere",
        # what a proxy passes on does not come from this machine
        trust_forwarded=settings.open_scoring_reach != "loopback",
        named=NamedTokens(settings.keys_dir, API_ROLES),
    )


def _watch(
    metrics: Metrics, journal: Journal, drain: Drain, orphaned_journals: OrphanedJournals
) -> None:
    metrics.watch(
        "journal_lag_seconds",
        "How long the oldest record has waited for the database, at most",
        lambda: max(drain.lag_seconds, orphaned_journals.lag_seconds),
    )
    metrics.watch(
        "journal_backlog",
        "Records not in the database yet",
        lambda: journal.backlog + orphaned_journals.backlog,
    )
    metrics.watch(
        "journal_missing_parts",
        "Segments or records of the journal that this process found gone",
        lambda: journal.damage.missing,
    )
    metrics.watch("journal_bytes", "Size of the journal on disk", lambda: journal.bytes_used)
    metrics.watch("journal_bytes_limit", "Its declared bound", lambda: journal.max_bytes)
    metrics.watch(
        "journal_refusing", "1 while decisions are refused", lambda: journal.refusal is not None
    )
