"""Shards and checks of a history in files are tasks: the same bits wherever they are done."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from benchmarks.small_world import write_small_world
from learning.dataset.large import Workplace
from shared.clock import SystemClock
from shared.errors import DataUnavailable
from shared.execution.executor import InTurn, TaskFailed, TaskLimits, executing
from shared.execution.processes import LocalProcesses
from shared.sizes import MIB
from shared.tables.engine import connect
from shared.tables.schema import metadata
from tests.support.large_history import DistrustfulTasks, Found, read_large_history
from usecases.fraud.features.sharded import compute_sharded
from usecases.fraud.training.snapshot_files import scan_snapshot

pytest.importorskip("duckdb", reason="pip install -r requirements/learning.txt")

NOW_US = SystemClock().now_us()
ROWS = 2_500


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('rows') / 'rows.db'}")
    metadata.create_all(engine)
    write_small_world(engine, NOW_US, ROWS)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def in_turn(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("in_turn") / "work"
    found = read_large_history(engine, NOW_US, folder, executing(InTurn()))
    assert len(found.features) == ROWS * 47 * 4
    return found


def test_tasks_in_any_order_begun_twice_and_sent_elsewhere_find_the_same(
    engine: Engine, in_turn: Found, tmp_path: Path
) -> None:
    tasks = DistrustfulTasks()
    assert read_large_history(engine, NOW_US, tmp_path / "work", executing(tasks)) == in_turn
    assert tasks.maps == [
        "part 0 of the snapshot",
        "counted statistic 0 of the days",
        "swapped_numbers",
        "shard 0 of merchants",
        "shard 0 of users",
    ]


def test_features_kept_by_ranges_of_the_snapshot_are_the_same_and_their_files_are_deleted(
    engine: Engine, in_turn: Found, tmp_path: Path
) -> None:
    place = Workplace(tmp_path, 700, 128 * MIB)
    with executing(DistrustfulTasks()):
        snapshot = scan_snapshot(engine, NOW_US, place)
        found = compute_sharded(snapshot, place, rows_per_segment=900)
    assert found.tobytes() == in_turn.features
    folders = list((tmp_path / "features").iterdir())
    assert len(folders) == 3
    assert not any(list(folder.iterdir()) for folder in folders)


@pytest.mark.slow
def test_processes_of_the_machine_find_the_same(
    engine: Engine, in_turn: Found, tmp_path: Path
) -> None:
    processes = LocalProcesses(2, TaskLimits(600))
    assert read_large_history(engine, NOW_US, tmp_path / "work", executing(processes)) == in_turn


def test_a_request_to_stop_ends_the_tasks_of_a_folder(tmp_path: Path) -> None:
    class Stopped(Exception):
        """A request to stop."""

    def stop() -> None:
        raise Stopped

    place = Workplace(tmp_path, interrupted=stop)
    with pytest.raises(Stopped):
        place.map(divmod, 1, [1], ["one"])


def test_a_machine_without_the_folder_says_so_instead_of_finding_empty_shards(
    tmp_path: Path,
) -> None:
    place = replace(Workplace(tmp_path), folder=tmp_path / "elsewhere")
    with pytest.raises(DataUnavailable, match="does not have it; share WORK_DIR"):
        place.map(divmod, 1, [1], ["one"])


def test_tasks_over_files_stay_here_where_the_machines_of_the_cluster_lack_them(
    tmp_path: Path,
) -> None:
    class NoFilesThere(DistrustfulTasks):
        """A cluster whose machines do not have the folder."""

    cluster, here = NoFilesThere(), DistrustfulTasks()
    with executing(cluster, of_files=here):
        assert Workplace(tmp_path).map(divmod, 7, [2], ["seven by two"]) == [(3, 1)]
    assert (cluster.maps, here.maps) == ([], ["seven by two"])


def test_a_shard_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="shard 3 of users: ZeroDivisionError"):
        Workplace(tmp_path).map(divmod, 1, [0], ["shard 3 of users"])
