"""The rows of benchmarks/out_of_core.py: worlds that have nothing in common, in any number."""

from pathlib import Path

from polars.testing import assert_frame_equal
from sqlalchemy import func, select

from benchmarks.out_of_core_worlds import SIMULATED_WORLDS, write_lake, write_worlds
from learning.dataset.large import Workplace
from shared.clock import SystemClock
from shared.importing.lake import Lake
from shared.tables.engine import connect, migrate
from shared.tables.schema import transaction_history_logs
from usecases.fraud.training.snapshot import read_snapshot
from usecases.fraud.training.snapshot_files import scan_snapshot

WORLDS = SIMULATED_WORLDS + 2


def test_copied_worlds_have_users_merchants_and_rows_of_their_own(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    migrate(engine)
    now_us, table = SystemClock().now_us(), transaction_history_logs
    rows = write_worlds(engine, now_us, 8_000, 8_000 // WORLDS)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(table)) == rows
        world = func.substr(table.c.user_id, 1, 4)
        found = connection.execute(
            select(
                world,
                func.count(),
                func.count(table.c.label),
                func.max(table.c.ingested_at),
                func.count().filter(func.substr(table.c.merchant_id, 1, 4) == world),
                func.sum(table.c.amount),
            )
            .group_by(world)
            .order_by(world)
        ).all()
    engine.dispose()
    assert [one[0] for one in found] == [f"{number:03d}-" for number in range(WORLDS)]
    assert rows > 4_000
    for number, (_, count, labels, newest_us, own_merchants, _) in enumerate(found):
        assert own_merchants == count
        assert labels > count / 2
        assert newest_us <= now_us
        assert count == found[number % SIMULATED_WORLDS][1]
    assert len({one[5] for one in found}) == WORLDS


def test_worlds_in_a_lake_are_those_of_a_database(tmp_path: Path) -> None:
    now_us, each = SystemClock().now_us(), 8_000 // WORLDS
    place = Workplace(tmp_path, lake=Lake.at(str(tmp_path / "lake")))
    assert place.lake is not None
    whole, divided = (connect(f"sqlite:///{tmp_path}/{name}.db") for name in ("whole", "divided"))
    for engine in (whole, divided):
        migrate(engine)
    rows = write_worlds(whole, now_us, 8_000, each)
    assert write_lake(divided, place.lake, now_us, 8_000, each) == rows
    expected = read_snapshot(whole, now_us)
    found = scan_snapshot(divided, now_us, place).lazy().collect()
    # of two amounts as near, SQLite and polars round to different ones
    assert_frame_equal(found, expected, abs_tol=0.011)
    assert expected.height == rows
    for engine in (whole, divided):
        engine.dispose()
