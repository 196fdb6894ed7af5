"""Composition root of the retraining service: `python -m scheduler.main`."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

import usecases
from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.parts import Parts
from scheduler.cycle.records import INTERRUPTED, RunRecorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.runner import CycleRunner
from scheduler.heartbeat import Heartbeat
from scheduler.publisher import Publisher
from scheduler.schedule.first_model import REQUESTED_BY, FirstModel
from scheduler.schedule.outage import Outage
from scheduler.schedule.table import JOB, DatabaseScheduleTable
from scheduler.schedule.watcher import ScheduleWatcher
from scheduler.schedule.worker import Worker
from scheduler.scoring_api import HttpScoringApi
from scheduler.service import (
    Tick,
    build_scheduler,
    run_until_stopped,
    stop_on_signals,
    wait_for_threads,
)
from scheduler.settings import Settings, load_settings
from shared.clock import SystemClock
from shared.errors import DataUnavailable, SettingsError
from shared.keys.signing import sign
from shared.keys.store import KeyStore
from shared.keys.tokens import Role, read_token
from shared.logs import configure_logging
from shared.tables.engine import connect, migrate
from shared.tables.runs import RunStatus, request_run
from shared.usecase.learning import LearningUseCase

HEARTBEAT_SECONDS = 5.0
FIRST_MODEL_SECONDS = 1.0
SURROUNDINGS_RETRY_SECONDS = 2.0
LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wired:
    """What main needs to know of the wiring."""

    ticks: tuple[Tick, ...]
    worker: Worker
    recorder: RunRecorder


def wire(
    settings: Settings, engine: Engine, use_case: LearningUseCase, interruption: Interruption
) -> Wired:
    """Put the parts together; starts nothing."""
    log, clock = structlog.get_logger(), SystemClock()
    parts = _parts(settings, engine, use_case, interruption, log)
    recorder = RunRecorder(engine, log)
    watcher = ScheduleWatcher(DatabaseScheduleTable(engine), clock, log)
    worker = Worker(
        engine=engine,
        runner=CycleRunner(parts, recorder),
        recorder=recorder,
        watcher=watcher,
        clock=clock,
        log=log,
    )
    first_model = FirstModel(
        parts.api,
        lambda instant_us: request_run(engine, JOB, instant_us, REQUESTED_BY),
        lambda: worker.running is not None,
        clock,
        log,
    )
    ticks = (
        Tick("heartbeat", Heartbeat(settings.heartbeat_file, clock).beat, HEARTBEAT_SECONDS),
        Tick("schedule", watcher.tick, settings.config_poll_seconds),
        Tick("first_model", first_model.tick, FIRST_MODEL_SECONDS),
        Tick("worker", worker.tick, settings.claim_poll_seconds, is_long=True),
    )
    return Wired(ticks, worker, recorder)


def _parts(
    settings: Settings,
    engine: Engine,
    use_case: LearningUseCase,
    interruption: Interruption,
    log: FilteringBoundLogger,
) -> Parts:
    keys = KeyStore(settings.keys_dir)
    log.info("signing_key", key_id=keys.ensure_signing_key())
    api = HttpScoringApi(
        str(settings.api_url),
        _push_token(settings),
        settings.api_timeout_seconds,
        settings.push_timeout_seconds,
    )
    return Parts(
        use_case=use_case,
        engine=engine,
        clock=SystemClock(),
        api=api,
        publisher=Publisher(api, lambda raw: sign(raw, keys.private_key())),
        candidates=CandidateStore(settings.retrained_models_dir, settings.candidates_kept),
        held_out=HeldOutStore(settings.test_data_dir, settings.held_out_sets_kept),
        interruption=interruption,
        log=log,
        latency_budget_ms=settings.latency_budget_ms,
        seed=settings.training_seed,
    )


def wait_for_surroundings(
    settings: Settings, engine: Engine, interruption: Interruption, log: FilteringBoundLogger
) -> None:
    """Wait for what others provide: a database to migrate, and the API's push token."""
    heartbeat = Heartbeat(settings.heartbeat_file, SystemClock())
    waiting: tuple[tuple[Outage, Callable[[], object]], ...] = (
        (Outage("database", log), lambda: migrate(engine)),
        (Outage("push_token", log), lambda: _push_token(settings)),
    )
    for outage, attempt in waiting:
        while not interruption.requested:
            heartbeat.beat()
            try:
                attempt()
            except DataUnavailable as error:
                outage.away(error)
                interruption.wait(SURROUNDINGS_RETRY_SECONDS)
            else:
                outage.back()
                break


def _push_token(settings: Settings) -> str:
    """The API makes it at its first start, which may come after ours."""
    try:
        return read_token(settings.keys_dir, Role.PUSH)
    except SettingsError as error:
        raise DataUnavailable(str(error)) from error


def run(settings: Settings, use_case: LearningUseCase) -> None:
    """The life of the process, from the first line of the log to the last."""
    interruption, log = Interruption(), structlog.get_logger()
    stop_on_signals(interruption)
    engine = connect(settings.database_url.get_secret_value())
    wait_for_surroundings(settings, engine, interruption, log)
    if interruption.requested:
        return
    wired = wire(settings, engine, use_case, interruption)
    log.info("scheduler_started", use_case=use_case.name, api=str(settings.api_url))
    run_until_stopped(build_scheduler(wired.ticks, log), interruption, log)
    is_clean = wait_for_threads(settings.shutdown_grace_seconds)
    if not is_clean:
        _give_up_running(wired)
    log.info("scheduler_stopped", clean=is_clean)
    if not is_clean:
        # A fit in compiled code cannot be interrupted, and Python would wait for its thread.
        logging.shutdown()
        os._exit(0)


def _give_up_running(wired: Wired) -> None:
    """Record that the run in progress ends here; the next start does it if this cannot."""
    abandoned = wired.worker.running
    if abandoned is None:
        return
    report = RunReport()
    report.end(RunStatus.FAILED, INTERRUPTED, "the scheduler was stopped during the run")
    last_words = threading.Thread(
        target=wired.recorder.record, args=(abandoned.run_id, report), daemon=True
    )
    last_words.start()
    last_words.join(LAST_WORDS_SECONDS)


def main() -> int:
    """The exit status: 0 after a stop, 2 when a setting is wrong."""
    try:
        settings = load_settings()
        configure_logging("scheduler", settings.log_level, settings.log_format, settings.log_file)
        run(settings, usecases.load_learning(settings.use_case))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
