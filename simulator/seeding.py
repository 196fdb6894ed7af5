"""Fills an empty database with the past of a world."""

from collections.abc import Callable

from sqlalchemy import Engine, select

from shared.tables.data_changes import begin_change
from shared.tables.engine import database_errors, prepare_for_bulk
from shared.tables.schema import api_transaction_logs, transaction_history_logs
from shared.tables.writer import write_history_records
from simulator.history import COLUMNS, Drift, records, relive
from simulator.world import World

Progress = Callable[[int, int], None]
"""Called with the rows written so far and the rows there will be."""


def is_empty(engine: Engine) -> bool:
    """True if neither log has a row.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    with database_errors("look into the transaction logs"), engine.connect() as connection:
        return all(
            connection.scalar(select(table.c.transaction_id).limit(1)) is None
            for table in (transaction_history_logs, api_transaction_logs)
        )


def seed(
    engine: Engine,
    world: World,
    now_us: int,
    progress: Progress,
    *,
    days: int = 180,
    drift: Drift | None = None,
) -> int:
    """Write the world's past up to now; all of it or nothing. Returns the rows written.

    Raises:
        DataUnavailable: the database cannot be written.
    """
    past = relive(world, now_us, days, drift=drift)
    total, written = len(past.events), 0
    # One transaction: concurrent readers see an empty database, never partial data.
    with database_errors("seed the database"), engine.begin() as connection:
        prepare_for_bulk(connection)
        begin_change(connection, "seed", now_us, None, {"rows": total, "seed": world.seed})
        for batch in records(world, past):
            written += write_history_records(connection, COLUMNS, batch)
            progress(written, total)
    return written
