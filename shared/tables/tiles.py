"""Merchant tiles: how many rows, and known labels, a merchant had in each hour.

A tile is told apart by two clocks, the hour of the event and the hour it became known, so a
window can leave out whatever it could not have known. The tiles always count the union of
both logs, each transaction once; `merged` says which of two copies counts.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, text

from shared.clock import MICROS_PER_HOUR
from shared.tables.locks import lock_for_writing

TileKey = tuple[str, int, int, str]


class Seen(NamedTuple):
    """The part of a transaction that the tiles depend on."""

    merchant_id: str
    event_time: int
    ingested_at: int
    label: int | None
    label_known_at: int | None


class TileChanges:
    """Adds up what a batch changes, so that each tile is written once."""

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
        counts = self._counts.get(key)
        if counts is None:
            self._counts[key] = [rows, positives]
        else:
            counts[0] += rows
            counts[1] += positives

    def write(self, connection: Connection) -> None:
        """Apply the changes; tiles that end up empty disappear."""
        changed = [
            (*key, rows, positives)
            for key, (rows, positives) in sorted(self._counts.items())
            if rows or positives
        ]
        if not changed:
            return
        if connection.dialect.name == "postgresql":
            columns = tuple(map(list, zip(*changed, strict=True)))
            connection.exec_driver_sql(_POSTGRESQL_UPSERT, columns)
        else:
            connection.exec_driver_sql(_SQLITE_UPSERT, changed)
        if any(rows < 0 for *_, rows, _ in changed):
            _delete_empty(connection, (change[:4] for change in changed if change[4] < 0))


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


def rebuild_tiles(connection: Connection) -> int:
    """Count all tiles again from the rows; returns how many there are.

    Needed only after rows were written to the logs by other means than shared.tables.writer.
    """
    lock_for_writing(connection)
    connection.execute(text("DELETE FROM merchanttiles"))
    return connection.execute(text(_REBUILD), {"hour": MICROS_PER_HOUR}).rowcount


def _delete_empty(connection: Connection, keys: Iterable[TileKey]) -> None:
    names = ("merchant", "event_hour", "known_hour", "kind")
    connection.execute(
        text(
            "DELETE FROM merchanttiles WHERE rows = 0 AND merchant_id = :merchant AND "
            "event_hour = :event_hour AND known_hour = :known_hour AND kind = :kind"
        ),
        [dict(zip(names, key, strict=True)) for key in keys],
    )


_SQLITE_UPSERT = """
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (merchant_id, event_hour, known_hour, kind) DO UPDATE SET
    rows = merchanttiles.rows + excluded.rows,
    positives = merchanttiles.positives + excluded.positives
"""
_POSTGRESQL_UPSERT = """
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
SELECT * FROM unnest(%s::text[], %s::int[], %s::int[], %s::text[], %s::int[], %s::int[])
ON CONFLICT (merchant_id, event_hour, known_hour, kind) DO UPDATE SET
    rows = merchanttiles.rows + excluded.rows,
    positives = merchanttiles.positives + excluded.positives
"""
# The same two rules as `merged` and `TileChanges.add`; a property test compares them.
_REBUILD = """
WITH merged AS (
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
)
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
SELECT merchant_id, event_time / :hour, ingested_at / :hour, 'row', count(*), 0
FROM merged GROUP BY 1, 2, 3
UNION ALL
SELECT merchant_id, event_time / :hour, label_known_at / :hour, 'label', count(*), sum(label)
FROM merged WHERE label IS NOT NULL GROUP BY 1, 2, 3
"""
