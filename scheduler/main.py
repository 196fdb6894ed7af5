"""Composition root of the retraining service: `python -m scheduler.main`."""

import logging
import os
import sys
import threading

import structlog

import usecases
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import INTERRUPTED
from scheduler.cycle.report import RunReport
from scheduler.service import (
    build_scheduler,
    run_until_stopped,
    stop_on_signals,
    wait_for_threads,
)
from scheduler.settings import Settings, load_settings
from scheduler.surroundings import wait_for_surroundings
from scheduler.wiring import Wired, wire
from shared.errors import SettingsError
from shared.logs import configure_logging
from shared.tables.engine import connect
from shared.tables.runs import RunStatus
from shared.usecase.learning import LearningUseCase

LAST_WORDS_SECONDS = 1.0


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
