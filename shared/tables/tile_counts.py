"""Counts whole batches into the merchant tiles inside the database, which is where they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, text

from shared.clock import MICROS_PER_HOUR
from shared.tables.locks import lock_for_writing


def last_row(connection: Connection, table: Table) -> int:
    """The highest rowid of a log in SQLite; rows inserted from now on get higher ones."""
    found = connection.scalar(text(f"SELECT max(rowid) FROM {table.name}"))  # noqa: S608
    return found or 0


def count_rows_after(connection: Connection, table: Table, rowid: int) -> None:
    """Count every row that SQLite inserted into a log after the given rowid."""
    source = f"SELECT * FROM {table.name} WHERE rowid > :rowid"  # noqa: S608 - our own name
    _count(connection, source, {"rowid": rowid})


def count_columns(connection: Connection, columns: Mapping[str, Sequence[Any]]) -> None:
    """Count rows given as arrays, for PostgreSQL: merchant_id, both clocks and the label."""
    _count(connection, _ARRAYS, columns)


def rebuild_tiles(connection: Connection) -> int:
    """Count all tiles again from the rows; returns how many there are.

    Needed only after rows were written to the logs by other means than shared.tables.writer.
    """
    lock_for_writing(connection)
    connection.execute(text("DELETE FROM merchanttiles"))
    _count(connection, _BOTH_LOGS, {})
    return connection.scalar(text("SELECT count(*) FROM merchanttiles")) or 0


def _count(connection: Connection, source: str, values: Mapping[str, Any]) -> None:
    statement = f"WITH source AS ({source}) {_COUNT_SOURCE} {ON_CONFLICT}"
    connection.execute(text(statement), {"hour": MICROS_PER_HOUR, **values})


ON_CONFLICT = """
ON CONFLICT (merchant_id, event_hour, known_hour, kind) DO UPDATE SET
    rows = merchanttiles.rows + excluded.rows,
    positives = merchanttiles.positives + excluded.positives
"""
_COUNT_SOURCE = """
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
SELECT merchant_id, event_time / :hour, ingested_at / :hour, 'row', count(*), 0
FROM source WHERE true GROUP BY 1, 2, 3
UNION ALL
SELECT merchant_id, event_time / :hour, label_known_at / :hour, 'label', count(*), sum(label)
FROM source WHERE label IS NOT NULL GROUP BY 1, 2, 3
"""
_ARRAYS = """
SELECT * FROM unnest(
    CAST(:merchant_id AS text[]), CAST(:event_time AS bigint[]), CAST(:ingested_at AS bigint[]),
    CAST(:label AS int[]), CAST(:label_known_at AS bigint[])
) AS given(merchant_id, event_time, ingested_at, label, label_known_at)
"""
# The same rule as tiles.merged, for the whole database; a property test compares them.
_BOTH_LOGS = """
SELECT a.merchant_id, a.event_time, a.ingested_at,
    CASE WHEN h.label_known_at > coalesce(a.label_known_at, h.label_known_at - 1)
        THEN h.label ELSE a.label END AS label,
    CASE WHEN h.label_known_at > coalesce(a.label_known_at, h.label_known_at - 1)
        THEN h.label_known_at ELSE a.label_known_at END AS label_known_at
FROM apitransactionlogs a
LEFT JOIN transactionhistorylogs h ON h.transaction_id = a.transaction_id
UNION ALL
SELECT h.merchant_id, h.event_time, h.ingested_at, h.label, h.label_known_at
FROM transactionhistorylogs h
WHERE NOT EXISTS (
    SELECT 1 FROM apitransactionlogs a WHERE a.transaction_id = h.transaction_id
)
"""
