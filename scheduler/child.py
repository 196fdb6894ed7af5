"""`python -m scheduler.child PARENT_PID [SPANS]`: carry out a claimed run that stdin names.

SPANS is the descriptor of the pipe that takes the spans of its steps.

A separate process, so that a run which hangs, leaks or crashes takes nothing with it. It
dies with its parent, and records how its run ended itself.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import structlog
from sqlalchemy import Engine

import usecases
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import INTERRUPTED, Retries, RunRecorder
from scheduler.cycle.report import RunReport
from scheduler.runners import runners, tasks_of
from scheduler.schedule.jobs import REPLAY, JobRunner
from scheduler.service import stop_on_signals
from scheduler.settings import SchedulerSettings, load_settings
from shared.errors import DataUnavailable, SettingsError
from shared.logs import configure_service_logging, start_failed
from shared.system.child_processes import end_with_parent
from shared.system.files import keep_files_private
from shared.tables.engine import connect
from shared.tables.runs import Run, RunStatus, get_run
from shared.tracing.pipe import InheritedPipe
from shared.tracing.recording import recording
from shared.tracing.spans import parse_traceparent
from shared.usecase.learning import LearningUseCase

DATABASE_RETRY_SECONDS = 2.0
NOT_OVER = 75
REPLAY_NICENESS = 10


class _ChildRecorder(RunRecorder):
    """Carries out the run. An interrupted run stays open: the parent knows why it stopped."""

    def record(self, run: Run, report: RunReport) -> None:
        if report.code not in {INTERRUPTED, "lease_lost"}:
            super().record(run, report)


def carry_out(
    settings: SchedulerSettings, use_case: LearningUseCase, arguments: Sequence[str]
) -> int:
    """The life of the process; the exit status is 0 when the run was recorded."""
    end_with_parent(int(arguments[0]), by_kernel=True)
    # one line from the parent; before it no work is in progress, so signals may still kill
    words = sys.stdin.readline().split()
    if not words:
        return 0
    run_id, fencing_number = map(int, words[:2])
    trace = parse_traceparent(words[2]) if len(words) > 2 else None
    spans = InheritedPipe(int(arguments[1])) if len(arguments) > 1 else None
    interruption, log = Interruption(), structlog.get_logger()
    stop_on_signals(interruption)
    engine = connect(settings.database_url.get_secret_value())
    retries = Retries(settings.run_attempts, settings.retry_pause_seconds)
    recorder = _ChildRecorder(engine, log, retries.pause_seconds)
    run = _claimed(engine, run_id, fencing_number, interruption)
    if run is None:
        return NOT_OVER
    if run.job == REPLAY:
        _yield_to_others()
    known = runners(settings, engine, use_case, recorder, interruption=interruption, log=log)
    with recording(spans, trace), tasks_of(settings):
        report = _execute(known.get(run.job), run, recorder)
    while not recorder.is_settled and not interruption.requested:
        interruption.wait(DATABASE_RETRY_SECONDS)
        _flush(recorder)
    return NOT_OVER if report.code == INTERRUPTED or not recorder.is_settled else 0


def _claimed(
    engine: Engine, run_id: int, fencing_number: int, interruption: Interruption
) -> Run | None:
    """The run, if it is still ours; waits for the database."""
    while not interruption.requested:
        try:
            run = get_run(engine, run_id)
        except DataUnavailable:
            interruption.wait(DATABASE_RETRY_SECONDS)
            continue
        is_ours = run is not None and run.fencing_number == fencing_number
        return run if is_ours else None
    return None


def _yield_to_others() -> None:
    """A replay is in no hurry: scoring and retraining get the processor first."""
    with suppress(OSError):
        os.nice(REPLAY_NICENESS)


def _execute(runner: JobRunner | None, run: Run, recorder: RunRecorder) -> RunReport:
    if runner is not None:
        return runner.execute(run)
    report = RunReport()
    report.end(RunStatus.FAILED, "unknown_job", f"no runner exists for {run.job!r}")
    recorder.record(run, report)
    return report


def _flush(recorder: RunRecorder) -> None:
    try:
        recorder.flush()
    except DataUnavailable:
        return


def main() -> int:
    """The exit status: 0 recorded, 2 when a setting is wrong, 75 when the run is not over."""
    keep_files_private()
    try:
        settings = load_settings()
        configure_service_logging("scheduler", settings)
        return carry_out(settings, usecases.load_learning(settings.use_case), sys.argv[1:])
    except SettingsError as error:
        return start_failed("scheduler", error)


if __name__ == "__main__":
    sys.exit(main())
