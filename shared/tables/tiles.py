"""Merchant tiles: how many rows, and known labels, a merchant had in each hour.

A tile is kept by two clocks, the hour of the event and the hour it became known, so a
window can leave out whatever it could not have known. The tiles always count the union of
both logs, each transaction once; `merged` says which of two copies counts. Whole batches are
counted by `count_columns`, corrections by `TileChanges`; each writes a tile once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from shared.clock import MICROS_PER_HOUR
from shared.tables.locks import FREE_SLOT, lock_for_writing, tile_slot

TileKey = tuple[str, int, int, str]


class Seen(NamedTuple):
    """The part of a transaction that the tiles depend on."""

    merchant_id: str
    event_time: int
    ingested_at: int
    label: int | None
    label_known_at: int | None


class TileChanges:
    """Adds up corrections to the tiles, so that each tile is written once."""

    def __init__(self) -> None:
        self._counts: dict[TileKey, list[int]] = {}

    def add(self, seen: Seen, sign: int = 1) -> None:
        """Count one transaction in, or out again with sign -1."""
        merchant, event_time, ingested_at, label, known_at = seen
        hour = event_time // MICROS_PER_HOUR
        self._count((merchant, hour, ingested_at // MICROS_PER_HOUR, "row"), sign, 0)
        if label is not None and known_at is not None:
            key = (merchant, hour, known_at // MICROS_PER_HOUR, "label")
            self._count(key, sign, sign * label)

    def _count(self, key: TileKey, rows: int, positives: int) -> None:
        counts = self._counts.setdefault(key, [0, 0])
        counts[0] += rows
        counts[1] += positives

    def write(self, connection: Connection) -> None:
        """Apply the corrections; tiles that end up empty disappear."""
        names = ("merchant", "event_hour", "known_hour", "kind", "rows", "positives")
        changed = [
            dict(zip(names, (*key, *counts), strict=True))
            for key, counts in sorted(self._counts.items())
            if any(counts)
        ]
        if not changed:
            return
        if connection.dialect.name == "postgresql":
            slot = tile_slot(connection)
            changed = [{**each, "slot": slot} for each in changed]
            connection.execute(text(_UPSERT_SLOT), changed)
            connection.execute(text(f"{_DELETE_EMPTY} AND slot = :slot"), changed)
        else:
            connection.execute(text(_UPSERT), changed)
            connection.execute(text(_DELETE_EMPTY), changed)


def merged(history: Seen | None, api: Seen | None) -> Seen:
    """The one transaction behind its copies: the API saw it live, the latest label wins."""
    if history is None or api is None:
        only = history or api
        if only is None:
            raise ValueError("a transaction is in neither log")
        return only
    if history.label_known_at is None:
        return api
    if api.label_known_at is not None and api.label_known_at >= history.label_known_at:
        return api
    return api._replace(label=history.label, label_known_at=history.label_known_at)


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
        statement = f"WITH source AS ({source}) {_COUNT_INTO_SLOT} {_ON_CONFLICT_OF_SLOT}"
    else:
        statement = f"WITH source AS ({source}) {_INTO} {_COUNT_SOURCE} {_ON_CONFLICT}"
    connection.execute(text(statement), {"hour": MICROS_PER_HOUR, **values})


_ADD_UP = """ DO UPDATE SET
    rows = merchanttiles.rows + excluded.rows,
    positives = merchanttiles.positives + excluded.positives
"""
_ON_CONFLICT = f"ON CONFLICT (merchant_id, event_hour, known_hour, kind) {_ADD_UP}"
# In PostgreSQL a tile is the sum of its slots: concurrent writers use different slots, so that
# none waits for the commit of another one on the row of a busy merchant.
_ON_CONFLICT_OF_SLOT = f"ON CONFLICT (merchant_id, event_hour, known_hour, kind, slot) {_ADD_UP}"
_ADD = f"""
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
VALUES (?, ?, ?, ?, ?, ?) {_ON_CONFLICT}"""  # noqa: S608 - no input in it
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
# The same rule as `merged`, for the whole database; a property test compares them.
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


_UPSERT = f"""
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
VALUES (:merchant, :event_hour, :known_hour, :kind, :rows, :positives)
{_ON_CONFLICT}"""  # noqa: S608 - no input in it
_UPSERT_SLOT = f"""
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives, slot)
VALUES (:merchant, :event_hour, :known_hour, :kind, :rows, :positives, :slot)
{_ON_CONFLICT_OF_SLOT}"""  # noqa: S608 - no input in it
_DELETE_EMPTY = """
DELETE FROM merchanttiles WHERE rows = 0 AND positives = 0 AND merchant_id = :merchant
    AND event_hour = :event_hour AND known_hour = :known_hour AND kind = :kind
"""
