"""The job `archive`: once a day, rows that are old enough move into files."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RecordedRun, Recorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.steps import StepLog
from shared.clock import Clock
from shared.importing.lake import Lake
from shared.tables.archive import TooYoung, archive_rows
from shared.tables.data_changes import RowLogs
from shared.tables.runs import Run, RunStatus

ARCHIVED, NOTHING_OLD = "archived", "nothing_old"


@dataclass(frozen=True, slots=True)
class ArchiveContext:
    """The collaborators and settings of an archiving run."""

    engine: Engine
    logs: RowLogs
    place: Path | Lake
    older_than_days: float
    clock: Clock
    interruption: Interruption
    log: FilteringBoundLogger


class ArchiveRunner:
    """Carries out claimed runs of the job."""

    def __init__(self, context: ArchiveContext, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder

    def execute(self, run: Run) -> RunReport:
        """Move what is old; never raises."""
        context = self._context
        recorded = RecordedRun(
            run, context.engine, self._recorder, context.interruption, context.log
        )
        return recorded.carry_out(self._work)

    def _work(self, steps: StepLog, report: RunReport) -> None:
        try:
            self._archive(steps, report)
        except TooYoung as error:
            report.end(RunStatus.FAILED, "settings", str(error))
        except OSError as error:
            told = f"{self._context.place} accepts no files: {error.strerror}; its rows stay"
            report.end(RunStatus.FAILED, "archive_dir", told)

    def _archive(self, steps: StepLog, report: RunReport) -> None:
        context = self._context
        with steps.step("archive") as note:
            counts = archive_rows(
                context.engine,
                context.logs,
                context.place,
                context.clock.now_us(),
                context.older_than_days,
                told=lambda _done, _total: context.interruption.raise_if_requested(),
            )
            if isinstance(context.place, Lake):
                for name in (name for name, count in counts.items() if count):
                    context.place.compact(name)
            report.data_size = note.rows = sum(counts.values())
            note.details.update(counts)
        days = f"{context.older_than_days:g} days"
        if report.data_size:
            told = ", ".join(f"{count} of {name}" for name, count in counts.items() if count)
            report.end(RunStatus.SUCCEEDED, ARCHIVED, f"Moved rows older than {days}: {told}.")
        else:
            report.end(RunStatus.SUCCEEDED, NOTHING_OLD, f"No row is older than {days}.")
