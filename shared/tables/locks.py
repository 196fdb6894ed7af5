"""Locks between processes, and one clock for all: what several of them must agree on."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, text
from sqlalchemy.exc import DBAPIError

from shared.clock import MACHINE_CLOCK, MICROS_PER_DAY

# Longer than any lease, and than any pause before another attempt.
LONGEST_WAIT_US = MICROS_PER_DAY
# Arbitrary keys that no other program uses for advisory locks in this database.
WRITER_LOCK = 0x77726974
SLOT_LOCK = 0x736C6F74
SLOTS = 32
"""Writers that count into merchant tiles at once, each into its own rows, without waiting."""


def is_over(until_us: Any, now_us: int) -> ColumnElement[bool]:
    """True if a column's instant has passed, or was written by a clock that ran ahead.

    Nothing is ever put off for longer than `LONGEST_WAIT_US`.
    """
    instant = func.coalesce(until_us, 0)
    return or_(instant <= now_us, instant > now_us + LONGEST_WAIT_US)


def is_held(until_us: int, now_us: int) -> bool:
    """The same of a value: a lease that runs, and was not written by a clock that ran ahead."""
    return now_us < until_us <= now_us + LONGEST_WAIT_US


def lock_for_writing(connection: Connection) -> None:
    """Write alone until this transaction ends, waiting for others if need be.

    For changes that others may not see half done: imports, corrections, removals, leases. SQLite
    has one writer anyway.
    """
    _lock(connection, "SELECT pg_advisory_xact_lock(:key)")


def share_writing(connection: Connection) -> None:
    """Write beside others that do the same, and not beside one that writes alone.

    For decisions and labels, of as many hosts as there are: their ids and the locks of their rows
    keep them apart. SQLite has one writer anyway.
    """
    _lock(connection, "SELECT pg_advisory_xact_lock_shared(:key)")


FREE_SLOT = f"""
coalesce((SELECT n FROM generate_series(0, {SLOTS - 1}) AS n
          WHERE pg_try_advisory_xact_lock({SLOT_LOCK}, n) LIMIT 1), 0)"""  # noqa: S608 - own numbers
"""SQL of PostgreSQL: a slot for this transaction; the first where all are taken, which waits."""


def tile_slot(connection: Connection) -> int:
    """The slot of this transaction's rows of merchant tiles; 0 in SQLite, which has none."""
    if connection.dialect.name != "postgresql":
        return 0
    return int(connection.scalar(text(f"SELECT {FREE_SLOT}")) or 0)


def _lock(connection: Connection, statement: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(statement), {"key": WRITER_LOCK})
        return
    driver = connection.connection.driver_connection
    if driver is not None and not driver.in_transaction:
        # explicitly: errors of the driver's implicit BEGIN are not translated
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def waiting_at_most(connection: Connection, seconds: float) -> Iterator[None]:
    """Inside a transaction: it waits so long for a lock that another one holds, and no longer."""
    milliseconds = int(seconds * 1_000)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
        yield
        return
    before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        # restored before the connection returns to the pool; a broken one does not return
        with suppress(DBAPIError):
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {before}")


def ahead_of_database_us(connection: Connection, now_us: int) -> int:
    """The lead of our clock over the database's; 0 where they are the same."""
    if connection.dialect.name != "postgresql":
        return 0
    return now_us - database_now_us(connection)


def database_now_us(connection: Connection) -> int:
    """The database's clock, by which leases expire, independent of its clients' clocks.

    SQLite has no clock, but all processes that have the file open are on one machine: its
    write-ahead log lives in their shared memory. A jump of that clock is not followed at once.
    """
    if connection.dialect.name == "postgresql":
        query = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(connection.scalar(query) or 0)
    return MACHINE_CLOCK.now_us()
