"""Counts whole batches into the merchant tiles, each tile written once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from shared.clock import MICROS_PER_HOUR
from shared.tables.locks import FREE_SLOT, lock_for_writing


def count_columns(connection: Connection, columns: Mapping[str, Sequence[Any]]) -> None:
    """Count rows given column by column: merchant_id, both clocks, the label and its instant."""
    if connection.dialect.name == "postgresql":
        _count(connection, _ARRAYS, columns)
    else:
        # Counting here and sending the tiles takes a third of the time of one SQL statement.
        connection.exec_driver_sql(_ADD, sorted(_tiles_of(**columns)))


def _tiles_of(
    merchant_id: Sequence[str],
    event_time: Sequence[int],
    ingested_at: Sequence[int],
    label: Sequence[int | None],
    label_known_at: Sequence[int | None],
) -> list[tuple[str, int, int, str, int, int]]:
    """The increments of each tile by the rows; a label tile occurs once for each label."""
    hours = [at // MICROS_PER_HOUR for at in event_time]
    known = [at // MICROS_PER_HOUR for at in ingested_at]
    rows = Counter(zip(merchant_id, hours, known, strict=True))
    labels = Counter(
        (merchant, hour, at // MICROS_PER_HOUR, positive)
        for merchant, hour, positive, at in zip(
            merchant_id, hours, label, label_known_at, strict=True
        )
        if positive is not None and at is not None
    )
    labelled = [(m, hour, at, "label", n, n * label) for (m, hour, at, label), n in labels.items()]
    return [*((m, hour, at, "row", n, 0) for (m, hour, at), n in rows.items()), *labelled]


def rebuild_tiles(connection: Connection) -> int:
    """Count all tiles again from the rows; returns how many there are.

    Needed only after rows were written to the logs by other means than shared.tables.writer.
    """
    lock_for_writing(connection)
    connection.execute(text("DELETE FROM merchanttiles"))
    _count(connection, _BOTH_LOGS, {})
    return connection.scalar(text("SELECT count(*) FROM merchanttiles")) or 0


def _count(connection: Connection, source: str, values: Mapping[str, Any]) -> None:
    if connection.dialect.name == "postgresql":
        statement = f"WITH source AS ({source}) {_COUNT_INTO_SLOT} {ON_CONFLICT_OF_SLOT}"
    else:
        statement = f"WITH source AS ({source}) {_INTO} {_COUNT_SOURCE} {ON_CONFLICT}"
    connection.execute(text(statement), {"hour": MICROS_PER_HOUR, **values})


_ADD_UP = """ DO UPDATE SET
    rows = merchanttiles.rows + excluded.rows,
    positives = merchanttiles.positives + excluded.positives
"""
ON_CONFLICT = f"ON CONFLICT (merchant_id, event_hour, known_hour, kind) {_ADD_UP}"
# In PostgreSQL a tile is the sum of its slots: concurrent writers use different slots, so that
# none waits for the commit of another one on the row of a busy merchant.
ON_CONFLICT_OF_SLOT = f"ON CONFLICT (merchant_id, event_hour, known_hour, kind, slot) {_ADD_UP}"
_ADD = f"""
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
VALUES (?, ?, ?, ?, ?, ?) {ON_CONFLICT}"""  # noqa: S608 - no input in it
_INTO = "INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)"
_COUNT_SOURCE = """
SELECT merchant_id, event_time / :hour, ingested_at / :hour, 'row', count(*), 0
FROM source WHERE true GROUP BY 1, 2, 3
UNION ALL
SELECT merchant_id, event_time / :hour, label_known_at / :hour, 'label', count(*), sum(label)
FROM source WHERE label IS NOT NULL GROUP BY 1, 2, 3
"""
_COUNT_INTO_SLOT = f"""
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives, slot)
SELECT counted.*, {FREE_SLOT} FROM ({_COUNT_SOURCE}) AS counted
"""  # noqa: S608 - no input in it
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
