"""The job that archives: what it moves and records."""

from pathlib import Path

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.archive import ArchiveContext, ArchiveRunner
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.schedule.jobs import ARCHIVE
from shared.clock import MICROS_PER_DAY
from shared.tables.data_changes import TRANSACTION_LOGS
from shared.tables.runs import Run, RunStatus, claim_next, get_run, request_run
from shared.tables.writer import write_history
from tests.scheduler.fakes import NOW_US, SettableClock
from tests.usecases.fraud.features.frames import record, transaction


def _ran(engine: Engine, folder: Path, log: FilteringBoundLogger, due: int = 0) -> Run:
    context = ArchiveContext(
        engine=engine,
        logs=TRANSACTION_LOGS,
        place=folder,
        older_than_days=400,
        clock=SettableClock(),
        interruption=Interruption(),
        log=log,
    )
    run_id = request_run(engine, ARCHIVE, NOW_US + due, "schedule")
    claimed = claim_next(engine)
    assert claimed is not None
    ArchiveRunner(context, RunRecorder(engine, log)).execute(claimed)
    finished = get_run(engine, run_id)
    assert finished is not None
    return finished


def test_a_run_moves_old_rows_and_says_how_many(
    engine: Engine, tmp_path: Path, log: FilteringBoundLogger
) -> None:
    rows = [transaction(number, NOW_US - (500 - number) * MICROS_PER_DAY) for number in range(9)]
    with engine.begin() as connection:
        write_history(connection, [record(row) for row in rows])
    run = _ran(engine, tmp_path / "archive", log)
    assert (run.status, run.code) == (RunStatus.SUCCEEDED, "archived")
    assert run.message == "Moved rows older than 400 days: 7 of transactionhistorylogs."
    again = _ran(engine, tmp_path / "archive", log, due=1)
    assert (again.status, again.code) == (RunStatus.SUCCEEDED, "nothing_old")


def test_a_folder_that_takes_no_files_fails_the_run_and_keeps_the_rows(
    engine: Engine, tmp_path: Path, log: FilteringBoundLogger
) -> None:
    rows = [transaction(number, NOW_US - (500 - number) * MICROS_PER_DAY) for number in range(9)]
    with engine.begin() as connection:
        write_history(connection, [record(row) for row in rows])
    (tmp_path / "archive").write_text("a file")
    failed = _ran(engine, tmp_path / "archive", log)
    assert (failed.status, failed.code) == (RunStatus.FAILED, "archive_dir")
    (tmp_path / "archive").unlink()
    assert _ran(engine, tmp_path / "archive", log, due=1).code == "archived"
