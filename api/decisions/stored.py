"""Finds one decision: in the database, or on its way there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine, select

from api.journal.entries import RecordFormat, quarantine_key
from api.scoring.idempotency import DecisionCache
from shared.clock import isoformat
from shared.contracts.decisions import LabelView
from shared.tables.engine import database_errors

_MOST_LABELS = 100


@dataclass(frozen=True, slots=True)
class FoundDecision:
    """A decided row by its columns, and the labels that a later one replaced.

    Attributes:
        is_stored: the database has it.
    """

    values: Mapping[str, Any]
    is_quarantined: bool
    is_stored: bool
    labels: tuple[LabelView, ...]

    @property
    def label(self) -> LabelView | None:
        """The label that holds."""
        values = self.values
        if values.get("label") is None or values.get("label_known_at") is None:
            return None
        return LabelView(
            value=shown_label(values["label"]),
            known_at=isoformat(values["label_known_at"]),
            source=values.get("label_source"),
            sent_by=values.get("label_sent_by"),
        )


class DecisionReader:
    """Reads decisions of one use case by the ids of their rows."""

    def __init__(self, engine: Engine, records: RecordFormat, cache: DecisionCache) -> None:
        self._engine = engine
        self._records = records
        self._cache = cache

    def find(self, row_id: str) -> FoundDecision | None:
        """The decision about a row; one of a trusted caller goes before a quarantined one.

        Raises:
            DataUnavailable: the database cannot be read, and memory does not have it.
        """
        for quarantined in (False, True):
            found = self._find(row_id, is_quarantined=quarantined)
            if found is not None:
                return found
        return None

    def _find(self, row_id: str, *, is_quarantined: bool) -> FoundDecision | None:
        key = quarantine_key(row_id) if is_quarantined else row_id
        # the cache before the database: a row drained in between is found twice, not missed
        waiting = self._cache.values(key)
        row = self._stored(row_id, is_quarantined=is_quarantined) if waiting is None else None
        if row is not None:
            return FoundDecision(row, is_quarantined, True, self._labels(row_id))
        if waiting is None:
            return None
        return FoundDecision(waiting, is_quarantined, False, ())

    def _stored(self, row_id: str, *, is_quarantined: bool) -> Mapping[str, Any] | None:
        table = self._records.rows.decided(quarantined=is_quarantined)
        query = select(table).where(table.c[self._records.columns[0]] == row_id)
        with database_errors("read a decision"), self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else dict(row)

    def _labels(self, row_id: str) -> tuple[LabelView, ...]:
        table = self._records.rows.label_changes
        query = (
            select(
                table.c.label,
                table.c.label_known_at,
                table.c.label_source,
                table.c.label_sent_by,
                table.c.replaced_at,
            )
            .where(table.c[self._records.columns[0]] == row_id)
            .order_by(table.c.changeid.desc())
            .limit(_MOST_LABELS)
        )
        with database_errors("read replaced labels"), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return tuple(
            LabelView(
                value=shown_label(label),
                known_at=isoformat(known_at),
                source=source,
                sent_by=sent_by,
                replaced_at=isoformat(replaced_at),
            )
            for label, known_at, source, sent_by, replaced_at in rows
        )


def shown_label(stored: Any) -> Any:
    """A label for JSON; a ranking's items are stored as bytes."""
    if not isinstance(stored, bytes):
        return stored
    return [None if np.isnan(one) else float(one) for one in np.frombuffer(stored, dtype="<f4")]
