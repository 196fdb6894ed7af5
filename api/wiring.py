"""The composition root: each package builds its own parts, and here they are put together."""

from pathlib import Path

import usecases
from api.database import build_database
from api.decisions import build_decisions
from api.http.access import build_access
from api.journal.build import build_journaling
from api.journal.entries import RecordFormat
from api.metrics import Metrics
from api.models.build import build_models
from api.models.verify import SmokeTest
from api.rollout.build import build_rollout_controller
from api.scoring.build import build_pending_decisions, build_scoring
from api.scoring.user_locks import MonotonicClock
from api.service import Service
from api.settings import Settings
from api.tracing.build import build_tracing
from api.workers.build import build_peers, build_workers
from api.workers.run_dir import RunDir
from api.workers.worker_context import WorkerContext
from shared.clock import MACHINE_CLOCK, MICROS_PER_SECOND, Clock, MachineClock
from shared.machine_metrics import ClockMetrics, DiskMetrics, sqlite_folder
from shared.usecase.serving import ServingUseCase


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
    metrics, worker = Metrics(), context or WorkerContext()
    metrics.versions.expect(use_case.decisions)
    metrics.registry.register(DiskMetrics(_folders(settings)))
    monotonic = MonotonicClock(clock)
    database = build_database(settings, metrics)
    run_dir = RunDir(settings.run_dir, worker.number, settings.api_workers)
    records = RecordFormat(usecases.row_store(settings.use_case))
    peers = build_peers(settings, use_case, run_dir, metrics, records.rows.fields)
    models = build_models(settings, use_case, clock, metrics, worker=worker.number, smoke=smoke)
    workers = build_workers(worker, run_dir, peers, models.promoter, metrics)
    pending = build_pending_decisions(settings, use_case, database, peers, records)
    journaling = build_journaling(
        settings,
        database.engine,
        metrics,
        worker.number,
        pending.stored,
        records=records,
        commits=pending.commits,
    )
    tracing = build_tracing(settings, use_case, metrics, worker.number)
    scoring = build_scoring(
        settings,
        use_case,
        monotonic,
        metrics,
        database=database,
        models=models,
        workers=workers,
        journal=journaling.journal,
        pending=pending,
        records=records,
        tracer=tracing.batches,
    )
    return Service(
        settings=settings,
        use_case=use_case,
        clock=monotonic,
        machine_clock=_machine_clock(clock, monotonic, metrics),
        metrics=metrics,
        database=database,
        access=build_access(settings, database.engine),
        models=models,
        rollout_controller=build_rollout_controller(
            settings, use_case, models, clock=clock, run_dir=run_dir, metrics=metrics
        ),
        journaling=journaling,
        scoring=scoring,
        decisions=build_decisions(use_case, database, models, pending.cache, records),
        workers=workers,
        tracing=tracing,
    )


def _folders(settings: Settings) -> dict[str, Path]:
    """The folders that the service writes to, by what it keeps there."""
    folders = {"journal": settings.journal_dir, "models": settings.prod_models_dir}
    database = sqlite_folder(settings.database_url.get_secret_value())
    return folders if database is None else {**folders, "database": database}


def _machine_clock(clock: Clock, monotonic: MonotonicClock, metrics: Metrics) -> MachineClock:
    """The clock that notices jumps, with its gauges."""
    machine = clock if isinstance(clock, MachineClock) else MACHINE_CLOCK
    metrics.registry.register(ClockMetrics(machine))
    metrics.watch(
        "ingestion_ahead_seconds",
        "How far ingestion stamps are ahead of the clock, after it was set back",
        lambda: monotonic.ahead_us() / MICROS_PER_SECOND,
    )
    return machine
