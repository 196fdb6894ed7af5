"""A run is cancelled by its number, and what cannot be cancelled is said in one line."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.tables.data_changes import list_changes
from shared.tables.engine import connect, migrate
from shared.tables.runs import RunStatus, claim_next, get_run, request_run

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/var/understudy.db")
    migrate(engine)
    yield engine
    engine.dispose()


def test_a_waiting_run_is_cancelled_once(understudy: Command, engine: Engine) -> None:
    run_id = request_run(engine, "retraining", 1, "schedule")
    done = understudy("runs", "cancel", str(run_id), "--as", "the on-call", "--reason", "a test")
    assert (done.returncode, done.stdout) == (0, f"run {run_id} is cancelled\n"), done.stderr

    run = get_run(engine, run_id)
    assert run is not None
    assert (run.status, run.cancel_requested_by) == (RunStatus.SKIPPED, "the on-call")
    (line,) = list_changes(engine)
    assert (line.kind, line.changed_by, line.reason, line.details) == (
        "run-cancelled", "the on-call", "a test", {"run_id": run_id},
    )  # fmt: skip
    again = understudy("runs", "cancel", str(run_id))
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "is over: SKIPPED" in again.stderr
    assert len(list_changes(engine)) == 1


def test_a_run_in_progress_is_asked_to_end(understudy: Command, engine: Engine) -> None:
    run_id = request_run(engine, "retraining", 1, "schedule")
    claim_next(engine)
    done = understudy("runs", "cancel", str(run_id))
    assert "in progress" in done.stdout

    run = get_run(engine, run_id)
    assert run is not None
    assert run.cancel_requested_by
    assert "there is no run 99" in understudy("runs", "cancel", "99").stderr
