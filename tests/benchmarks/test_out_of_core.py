"""The rows of benchmarks/out_of_core.py: worlds that have nothing in common, in any number."""

from pathlib import Path

from sqlalchemy import func, select

from benchmarks.out_of_core import SIMULATED_WORLDS, write_worlds
from shared.clock import SystemClock
from shared.tables.engine import connect, migrate
from shared.tables.schema import transaction_history_logs

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
