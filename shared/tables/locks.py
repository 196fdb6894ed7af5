"""One writer at a time, and one clock for all: what several processes must agree on."""

import time

from sqlalchemy import Connection, text

# Any number will do as long as nobody else in this database uses it.
WRITER_LOCK = 0x77726974


def lock_for_writing(connection: Connection) -> None:
    """Hold the write lock until this transaction ends, waiting for it if need be.

    SQLite has one writer anyway; on PostgreSQL an advisory lock also spares two writers the
    deadlock of touching the same merchant tiles in different order.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
        return
    driver = connection.connection.driver_connection
    if driver is not None and not driver.in_transaction:
        driver.execute("BEGIN IMMEDIATE")


def database_now_us(connection: Connection) -> int:
    """The database's clock, by which leases run out whatever the clocks of its clients say.

    SQLite has none of its own, but all who have the file open are on one machine: its
    write-ahead log lives in their shared memory.
    """
    if connection.dialect.name == "postgresql":
        query = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(connection.scalar(query) or 0)
    return time.time_ns() // 1_000
