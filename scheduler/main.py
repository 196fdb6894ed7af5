"""Composition root of the retraining service: `python -m scheduler.main`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

import usecases
from scheduler.cycle.interruption import Interruption
from scheduler.heartbeat import check_place
from scheduler.metrics import scheduler_registry, serve_metrics
from scheduler.readiness import wait_until_ready
from scheduler.run_metrics import ChampionMetrics, RunMetrics, warn_of_policy
from scheduler.service import (
    build_scheduler,
    run_until_stopped,
    stop_on_signals,
    wait_for_threads,
)
from scheduler.settings import SchedulerSettings, load_settings
from scheduler.wiring import wire
from shared.clock import MACHINE_CLOCK, Clock, SystemClock
from shared.errors import SettingsError
from shared.logs import configure_service_logging, start_failed
from shared.machine_metrics import ClockMetrics, DiskMetrics, sqlite_folder
from shared.setting_docs import help_text
from shared.system.files import keep_files_private
from shared.tables.engine import connect
from shared.tables.storage_place import warn_of_doubtful_place

CHILD = (sys.executable, "-m", "scheduler.child")
SYSTEM_CLOCK = SystemClock()


def run(
    settings: SchedulerSettings, command: Sequence[str] = CHILD, clock: Clock = SYSTEM_CLOCK
) -> None:
    """The life of the process, from the first line of the log to the last."""
    check_place(settings.heartbeat_file)
    interruption, log = Interruption(), structlog.get_logger()
    stop_on_signals(interruption)
    engine = connect(settings.database_url.get_secret_value())
    warn_of_doubtful_place(engine.url)
    wait_until_ready(settings, engine, interruption, log)
    if interruption.requested:
        return
    wired = wire(settings, engine, command, interruption, clock)
    policy = usecases.promotion_policy(settings.use_case)
    warn_of_policy(policy, log)
    if settings.metrics_port is not None:
        registry = scheduler_registry(
            engine,
            ChampionMetrics(engine, policy),
            RunMetrics(engine, policy, clock),
            ClockMetrics(MACHINE_CLOCK),
            DiskMetrics(_folders(settings)),
        )
        serve_metrics(registry, settings.metrics_host, settings.metrics_port, log)
    log.info("scheduler_started", use_case=settings.use_case, api=str(settings.api_url))
    if wired.spans is not None:
        wired.spans.start()
    wired.children.prepare()
    run_until_stopped(build_scheduler(wired.ticks, log), interruption, log)
    is_clean = wait_for_threads(settings.shutdown_grace_seconds)
    wired.children.close()
    if wired.spans is not None:
        wired.spans.close()
    log.info("scheduler_stopped", clean=is_clean)
    if not is_clean:
        # A thread that waits for the database cannot be interrupted, and a normal exit would wait
        # for it. The lease of a run that could not be released expires.
        logging.shutdown()
        os._exit(0)


def _folders(settings: SchedulerSettings) -> dict[str, Path]:
    """The folders that it writes to, by what it keeps there."""
    folders = {
        "candidates": settings.retrained_models_dir,
        "work": settings.work_dir,
        "drift_reports": settings.drift_reports_dir,
    }
    database = sqlite_folder(settings.database_url.get_secret_value())
    return folders if database is None else {**folders, "database": database}


def main(arguments: Sequence[str] = ()) -> int:
    """The exit status: 0 after a stop, 2 when a setting is wrong."""
    _parser().parse_args(arguments)
    keep_files_private()
    try:
        settings = load_settings()
        configure_service_logging("scheduler", settings)
        usecases.check_learning(settings.use_case)
        run(settings)
    except SettingsError as error:
        return start_failed("scheduler", error)
    return 0


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="python -m scheduler.main",
        description="Run the scheduler: it starts due runs and drives rollouts until a signal.",
        epilog=help_text(SchedulerSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
