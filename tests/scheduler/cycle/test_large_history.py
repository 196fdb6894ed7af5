"""A history that exceeds memory is learned from in files, with the result of the run in memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, select, update
from structlog.testing import capture_logs

import usecases
from benchmarks.handbook_history import PARQUET, write_handbook
from benchmarks.small_world import write_small_world
from learning.dataset.large import LargeRuns
from scheduler.cycle.records import RunRecorder
from shared.execution.executor import InTurn, executing
from shared.sizes import MIB
from shared.tables.engine import connect, migrate
from shared.tables.runs import Run, RunStatus
from shared.tables.schema import transaction_history_logs
from tests.scheduler.fakes import PocketApi, SettableClock
from tests.support.cycle_bench import context_of, run_once
from tests.support.large_history import DistrustfulTasks

pytest.importorskip("duckdb", reason="pip install -r requirements/learning.txt")

ROWS = 4_000
# The scores of a quarter of a million held-out rows; their features would be forty times as much.
SCORES_BYTES = 8 * MIB
KEY = Ed25519PrivateKey.generate()


@dataclass(frozen=True)
class _Ended:
    """A run that is over: its row, the bundles it pushed, and where its snapshot lay."""

    run: Run
    pushed: list[bytes]
    told: Mapping[str, object]
    tasks: list[str]


_Database = Callable[[Path, int], Engine]


def _made(folder: Path) -> Engine:
    folder.mkdir()
    engine = connect(f"sqlite:///{folder / 'understudy.db'}")
    migrate(engine)
    return engine


def _handbook(folder: Path, now_us: int) -> Engine:
    engine = _made(folder)
    write_handbook(engine, now_us)
    return engine


def _small(folder: Path, now_us: int) -> Engine:
    """A world with two rows that nothing can be learned from."""
    engine = _made(folder)
    write_small_world(engine, now_us, ROWS)
    table = transaction_history_logs
    with engine.begin() as connection:
        ids = connection.scalars(select(table.c.transaction_id).limit(2).offset(1_000)).all()
        wrong = update(table).where(table.c.transaction_id.in_(ids)).values(merchant_id="")
        connection.execute(wrong)
    return engine


def _run(
    folder: Path,
    large: LargeRuns,
    database: _Database = _small,
    largest_result_bytes: int = 100_000,
) -> _Ended:
    clock = SettableClock()
    engine = database(folder, clock.now_us())
    context = context_of(usecases.load_learning("fraud"), engine, clock, folder, KEY)
    context = replace(context, large=large, recipe="the same")
    tasks = DistrustfulTasks(largest_result_bytes)
    with capture_logs() as entries, executing(InTurn(), of_files=tasks):
        run = run_once(context, clock, RunRecorder(engine, structlog.get_logger()))
    engine.dispose()
    assert isinstance(context.api, PocketApi)
    [told] = [entry for entry in entries if entry["event"] == "snapshot_place"]
    return _Ended(run, [raw for raw, _signature in context.api.pushed], told, tasks.maps)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory, work: Path) -> _Ended:
    return _run(tmp_path_factory.mktemp("runs") / "memory", LargeRuns(ROWS, work))


@pytest.fixture(scope="module")
def in_files(tmp_path_factory: pytest.TempPathFactory, work: Path) -> _Ended:
    bound = LargeRuns(ROWS - 1, work, rows_per_shard=700)
    return _run(tmp_path_factory.mktemp("runs") / "files", bound)


def test_a_run_over_files_makes_the_bundle_of_the_run_in_memory_to_the_last_byte(
    in_memory: _Ended, in_files: _Ended
) -> None:
    assert in_memory.run.status is RunStatus.SUCCEEDED, in_memory.run.message
    assert len(in_memory.pushed) == 1
    assert in_files.pushed == in_memory.pushed
    assert in_files.run.metrics == in_memory.run.metrics
    verdicts = [
        [
            (one["gate"], one["reason"], one["numbers"])
            for one in ended.run.verdicts
            if one["gate"] != "latency"
        ]
        for ended in (in_memory, in_files)
    ]
    assert verdicts[0] == verdicts[1]


def test_held_out_rows_are_scored_by_tasks_of_the_executor(
    in_memory: _Ended, in_files: _Ended
) -> None:
    assert in_memory.tasks == []
    assert in_files.tasks[-1] == "scores of held-out rows 0 to 700"


def test_it_has_the_same_steps_and_sets_the_same_wrong_rows_aside(
    in_memory: _Ended, in_files: _Ended
) -> None:
    steps = [[(one["step"], one.get("rows")) for one in ended.run.steps]
             for ended in (in_memory, in_files)]  # fmt: skip
    assert steps[0] == steps[1]
    assert ("quarantine", 2) in steps[1]


def test_the_log_says_where_the_snapshot_lay_and_why(in_memory: _Ended, in_files: _Ended) -> None:
    told = [(ended.told["place"], ended.told["rows"], ended.told["rows_in_memory"])
            for ended in (in_memory, in_files)]  # fmt: skip
    assert told == [("memory", ROWS, ROWS), ("files", ROWS, ROWS - 1)]


def test_no_file_of_a_snapshot_stays(in_files: _Ended, work: Path) -> None:
    assert in_files.told["place"] == "files"
    assert list((work / "snapshots").iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not PARQUET.exists(), reason="needs the Handbook's data (HANDBOOK_PARQUET)")
def test_the_whole_handbook_gives_the_same_bundle_over_files_as_in_memory(tmp_path: Path) -> None:
    bounds = {"memory": LargeRuns(10_000_000, tmp_path), "files": LargeRuns(0, tmp_path)}
    ended = {
        place: _run(tmp_path / place, bound, _handbook, SCORES_BYTES)
        for place, bound in bounds.items()
    }
    assert {place: one.told["place"] for place, one in ended.items()} == {
        place: place for place in bounds
    }
    assert {place: one.run.message for place, one in ended.items()} == dict.fromkeys(
        bounds, ended["memory"].run.message
    )
    assert len(ended["memory"].pushed) == 1
    assert ended["files"].pushed == ended["memory"].pushed
    assert ended["files"].run.metrics == ended["memory"].run.metrics
