"""Merchant tiles: how many rows, and known labels, a merchant had in each hour.

A tile is kept by two clocks, the hour of the event and the hour it became known, so a
window can leave out whatever it could not have known. The tiles always count the union of
both logs, each transaction once; `merged` says which of two copies counts.
"""

from typing import NamedTuple

from sqlalchemy import Connection, text

from shared.clock import MICROS_PER_HOUR
from shared.tables.locks import tile_slot
from shared.tables.tile_counts import ON_CONFLICT, ON_CONFLICT_OF_SLOT

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


_UPSERT = f"""
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives)
VALUES (:merchant, :event_hour, :known_hour, :kind, :rows, :positives)
{ON_CONFLICT}"""  # noqa: S608 - no input in it
_UPSERT_SLOT = f"""
INSERT INTO merchanttiles (merchant_id, event_hour, known_hour, kind, rows, positives, slot)
VALUES (:merchant, :event_hour, :known_hour, :kind, :rows, :positives, :slot)
{ON_CONFLICT_OF_SLOT}"""  # noqa: S608 - no input in it
_DELETE_EMPTY = """
DELETE FROM merchanttiles WHERE rows = 0 AND positives = 0 AND merchant_id = :merchant
    AND event_hour = :event_hour AND known_hour = :known_hour AND kind = :kind
"""
