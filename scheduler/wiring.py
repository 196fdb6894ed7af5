"""The wiring: which part gets which; nothing is started here."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

import usecases
from scheduler.child_runner import ChildLimits, ChildRunner
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import Retries, RunRecorder
from scheduler.notable_events import Events
from scheduler.notifier import LEADERSHIP as NOTIFICATIONS
from scheduler.notifier import NotificationWebhook, Notifier
from scheduler.readiness import heartbeat_of, scoring_api
from scheduler.rollout.driver import DatabaseLease, RolloutDriver, RolloutRecord
from scheduler.rollout.outcomes import ServedOutcomes
from scheduler.rollout.stage import RolloutPolicy
from scheduler.rollout.trial_records import TrialRecords
from scheduler.schedule.approval_watch import ApprovalWatch
from scheduler.schedule.first_model import REQUESTED_BY, FirstModel
from scheduler.schedule.jobs import ARCHIVE, DRIFT, REPLAY, RETRAINING, JobRunner
from scheduler.schedule.table import DatabaseScheduleTable, FixedSchedule, ScheduleTable
from scheduler.schedule.watcher import ScheduleWatcher
from scheduler.schedule.worker import Worker
from scheduler.service import PeriodicTask
from scheduler.settings import OFF, SchedulerSettings
from scheduler.stores import candidate_store
from shared.clock import Clock, SystemClock
from shared.keys.store import KeyStore
from shared.tables.rollout_looks import write_look
from shared.tables.runs import JobChoice, request_unless_unfinished
from shared.tracing.pipe import SpanPipe

HEARTBEAT_SECONDS = 5.0
FIRST_MODEL_SECONDS = 1.0
TRIAL_RECORDS_SECONDS = 2.0
APPROVALS_SECONDS = 3.0
NOTIFY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WiredScheduler:
    """The assembled parts that `main` uses."""

    ticks: tuple[PeriodicTask, ...]
    children: ChildRunner
    spans: SpanPipe | None


def wire(
    settings: SchedulerSettings,
    engine: Engine,
    command: Sequence[str],
    interruption: Interruption,
    clock: Clock,
) -> WiredScheduler:
    """Put the parts together; starts nothing. `command` starts a child that does one run."""
    log = structlog.get_logger()
    log.info("signing_key", key_id=KeyStore(settings.keys_dir).ensure_signing_key())
    recorder = RunRecorder(engine, log, _retries(settings).pause_seconds)
    endpoint = settings.otel_exporter_otlp_endpoint
    spans = None if endpoint is None else SpanPipe("scheduler", endpoint)
    children = ChildRunner(
        command=command,
        engine=engine,
        recorder=recorder,
        interruption=interruption,
        limits=_limits(settings, settings.run_time_limit_seconds),
        lease_seconds=settings.lease_seconds,
        log=log,
        keeps_ready=settings.run_process_ready,
        spans=spans,
    )
    replays = ChildRunner(
        command=command,
        engine=engine,
        recorder=recorder,
        interruption=interruption,
        limits=_limits(settings, settings.replay_time_limit_seconds),
        lease_seconds=settings.lease_seconds,
        log=log,
        spans=spans,
    )
    usual = {RETRAINING: children, DRIFT: children, ARCHIVE: children}
    worker = _worker(settings, engine, usual, recorder, log, jobs=JobChoice(without=(REPLAY,)))
    # a separate worker: a replay takes hours, and retraining must not wait for it
    player = _worker(
        settings, engine, {REPLAY: replays}, recorder, log, jobs=JobChoice(only=(REPLAY,))
    )
    first_model = FirstModel(
        scoring_api(settings),
        lambda now_us: request_unless_unfinished(engine, RETRAINING, now_us, REQUESTED_BY),
        lambda: worker.running is not None,
        clock,
        log,
    )
    ticks = [
        PeriodicTask("heartbeat", heartbeat_of(settings).beat, HEARTBEAT_SECONDS),
        PeriodicTask("first_model", first_model.tick, FIRST_MODEL_SECONDS),
        PeriodicTask("worker", worker.tick, settings.claim_poll_seconds, is_long=True),
        PeriodicTask("replays", player.tick, settings.claim_poll_seconds, is_long=True),
    ]
    ticks.append(_rollout_tick(settings, engine, clock, log))
    ticks.append(_trial_records_tick(settings, engine, log))
    ticks.append(_approval_tick(settings, engine, log))
    ticks += _notify_ticks(settings, engine, clock, log)
    ticks += _schedule_ticks(settings, engine, clock, log)
    return WiredScheduler(tuple(ticks), children, spans)


def _worker(
    settings: SchedulerSettings,
    engine: Engine,
    runners: Mapping[str, JobRunner],
    recorder: RunRecorder,
    log: FilteringBoundLogger,
    *,
    jobs: JobChoice,
) -> Worker:
    return Worker(
        engine=engine,
        runners=runners,
        recorder=recorder,
        owner=_owner(),
        lease_seconds=settings.lease_seconds,
        attempts=settings.run_attempts,
        log=log,
        jobs=jobs,
    )


def _owner() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


def _rollout_tick(
    settings: SchedulerSettings, engine: Engine, clock: Clock, log: FilteringBoundLogger
) -> PeriodicTask:
    policy = RolloutPolicy(
        stage_minimum_seconds=settings.rollout_stage_minutes * 60,
        stage_minimum_requests=settings.rollout_stage_requests,
        stage_minimum_outcomes=settings.rollout_stage_labels,
    )
    record = RolloutRecord(settings.retrained_models_dir)
    # After three missed checks another scheduler takes over.
    seconds = max(settings.lease_seconds, 3 * settings.rollout_look_seconds)
    lease = DatabaseLease(engine, _owner(), seconds)
    driver = RolloutDriver(
        api=scoring_api(settings),
        policy=policy,
        record=record,
        lease=lease,
        clock=clock,
        log=log,
        keep=partial(write_look, engine),
        outcomes=ServedOutcomes(engine, partial(usecases.outcome_rows, settings.use_case)),
    )
    return PeriodicTask("rollout", driver.tick, settings.rollout_look_seconds)


def _trial_records_tick(
    settings: SchedulerSettings, engine: Engine, log: FilteringBoundLogger
) -> PeriodicTask:
    kept = candidate_store(settings)
    records = TrialRecords(engine, scoring_api(settings), kept, log)
    return PeriodicTask("trial_records", records.tick, TRIAL_RECORDS_SECONDS)


def _approval_tick(
    settings: SchedulerSettings, engine: Engine, log: FilteringBoundLogger
) -> PeriodicTask:
    """The watch over approvals, also if none is required any more: older candidates may wait."""
    kept = candidate_store(settings)
    watch = ApprovalWatch(engine, scoring_api(settings), kept, log)
    return PeriodicTask("approvals", watch.tick, APPROVALS_SECONDS)


def _notify_ticks(
    settings: SchedulerSettings, engine: Engine, clock: Clock, log: FilteringBoundLogger
) -> list[PeriodicTask]:
    if settings.notify_url is None:
        return []
    # one round delivers up to twenty notifications, each within its timeout
    seconds = max(60.0, 3 * settings.notify_timeout_seconds)
    notifier = Notifier(
        engine=engine,
        events=Events(engine, scoring_api(settings), settings.use_case),
        webhook=NotificationWebhook(settings.notify_url, settings.notify_timeout_seconds),
        lease=DatabaseLease(engine, _owner(), seconds, NOTIFICATIONS),
        clock=clock,
        log=log,
        chosen=settings.chosen_events,
        give_up_seconds=settings.notify_give_up_hours * 3_600,
    )
    return [PeriodicTask("notifications", notifier.tick, NOTIFY_SECONDS, is_long=True)]


def _schedule_ticks(
    settings: SchedulerSettings, engine: Engine, clock: Clock, log: FilteringBoundLogger
) -> list[PeriodicTask]:
    drift = None if settings.drift_interval == OFF else settings.drift_interval
    tables: dict[str, ScheduleTable] = {
        RETRAINING: DatabaseScheduleTable(engine),
        DRIFT: FixedSchedule(drift),
        ARCHIVE: FixedSchedule("1D" if settings.archive_older_than_days else None),
    }
    ticks = []
    for job, table in tables.items():
        watcher = ScheduleWatcher(
            job=job,
            table=table,
            engine=engine,
            clock=clock,
            log=log,
            catch_up_seconds=settings.catch_up_seconds,
            machine_clock=SystemClock(),
        )
        ticks.append(PeriodicTask(f"schedule_{job}", watcher.tick, settings.config_poll_seconds))
    return ticks


def _retries(settings: SchedulerSettings) -> Retries:
    return Retries(settings.run_attempts, settings.retry_pause_seconds)


def _limits(settings: SchedulerSettings, time_seconds: float) -> ChildLimits:
    return ChildLimits(
        time_seconds=time_seconds,
        memory_bytes=settings.run_memory_limit_bytes,
        stop_seconds=settings.shutdown_grace_seconds / 2,
    )
