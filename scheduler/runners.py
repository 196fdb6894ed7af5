"""The wiring of a child process: who carries out which job; nothing is started here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

import usecases
from learning.dataset.large import LargeRuns
from scheduler.archive import ArchiveContext, ArchiveRunner
from scheduler.cycle.approvals import DatabaseApprovals
from scheduler.cycle.context import CycleContext
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from scheduler.drift.page import DriftReports
from scheduler.drift.runner import DriftContext, DriftRunner
from scheduler.mlflow_tracker import tracker_for
from scheduler.publisher import Publisher
from scheduler.readiness import scoring_api
from scheduler.replay.job import ReplayContext, ReplayRunner
from scheduler.schedule.jobs import ARCHIVE, DRIFT, REPLAY, RETRAINING, JobRunner
from scheduler.settings import SchedulerSettings
from scheduler.step_cache import StepCache, code_digest
from scheduler.step_store import ArtefactStore
from scheduler.stores import candidate_store, held_out_store
from scheduler.tracked_run import Tracker
from shared.clock import SystemClock
from shared.execution.executor import InTurn, TaskLimits, executing
from shared.execution.processes import LocalProcesses
from shared.execution.ray_cluster import RayExecutor
from shared.importing.lake import Lake
from shared.keys.store import KeyStore, sign
from shared.rows.tables import logs_of_folder
from shared.usecase.learning import LearningUseCase


@contextmanager
def tasks_of(settings: SchedulerSettings) -> Iterator[None]:
    """Let the tasks of a run be carried out where the settings say."""
    limits = TaskLimits(settings.task_time_limit_seconds, settings.task_memory_limit_bytes)
    many = settings.task_processes > 1
    local = LocalProcesses(settings.task_processes, limits) if many else InTurn()
    if settings.ray_address is None:
        with executing(local):
            yield
        return
    cluster = RayExecutor(settings.ray_address, limits)
    try:
        with executing(cluster, of_files=cluster if settings.ray_shares_work_dir else local):
            yield
    finally:
        cluster.close()


def runners(
    settings: SchedulerSettings,
    engine: Engine,
    use_case: LearningUseCase,
    recorder: RunRecorder,
    *,
    interruption: Interruption,
    log: FilteringBoundLogger,
) -> Mapping[str, JobRunner]:
    """Every job by its name."""
    context = _context(settings, engine, use_case, interruption, log)
    checks = DriftContext(
        use_case=use_case,
        engine=engine,
        clock=context.clock,
        api=context.api,
        served=context.served,
        reports=DriftReports(settings.drift_reports_dir, settings.drift_reports_kept),
        interruption=interruption,
        log=log,
        window_days=settings.drift_window_days,
        cooldown_days=settings.drift_cooldown_days,
    )
    archive = ArchiveContext(
        engine=engine,
        logs=logs_of_folder(usecases.declared_folder(settings.use_case)),
        place=_lake(settings) or settings.archive_dir,
        older_than_days=settings.archive_older_than_days,
        clock=context.clock,
        interruption=interruption,
        log=log,
    )
    replays = ReplayContext(
        use_case=use_case,
        engine=engine,
        database_url=settings.database_url.get_secret_value(),
        folder=settings.replay_dir,
        seed=settings.training_seed,
        latency_budget_ms=settings.latency_budget_ms,
        clock=context.clock,
        interruption=interruption,
        log=log,
    )
    return {
        RETRAINING: CycleRunner(context, recorder),
        DRIFT: DriftRunner(checks, recorder),
        ARCHIVE: ArchiveRunner(archive, recorder),
        REPLAY: ReplayRunner(replays, recorder),
    }


def _context(
    settings: SchedulerSettings,
    engine: Engine,
    use_case: LearningUseCase,
    interruption: Interruption,
    log: FilteringBoundLogger,
) -> CycleContext:
    keys, api = KeyStore(settings.keys_dir), scoring_api(settings)
    keys.ensure_signing_key()
    approvals = DatabaseApprovals(engine, settings.approval_expires_seconds)
    store = ArtefactStore(settings.work_dir, settings.work_max_bytes)
    recipe = code_digest(use_case)
    return CycleContext(
        use_case=use_case,
        engine=engine,
        clock=SystemClock(),
        api=api,
        publisher=Publisher(api, lambda raw: sign(raw, keys.private_key()), approvals.check),
        candidates=candidate_store(settings),
        held_out=held_out_store(settings),
        interruption=interruption,
        log=log,
        latency_budget_ms=settings.latency_budget_ms,
        seed=settings.training_seed,
        tracker=_tracker(settings, interruption, log),
        step_cache=StepCache(store, recipe, log),
        recipe=recipe,
        lease_seconds=settings.lease_seconds,
        allow_pickle=settings.allow_pickle_models,
        trusted=keys.accepted_keys,
        train_as_of=settings.train_as_of,
        approvals=approvals,
        large=LargeRuns(settings.snapshot_memory_rows, settings.work_dir, lake=_lake(settings)),
    )


def _lake(settings: SchedulerSettings) -> Lake | None:
    return Lake.at(settings.lake_url) if settings.lake_url else None


def _tracker(
    settings: SchedulerSettings, interruption: Interruption, log: FilteringBoundLogger
) -> Tracker:
    uri = settings.mlflow_tracking_uri
    return tracker_for(
        uri.get_secret_value() if uri else None,
        settings.mlflow_wait_seconds,
        lambda: interruption.requested,
        log,
    )
