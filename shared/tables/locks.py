"""One writer at a time: what is read to decide what to write must not change in between."""

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
