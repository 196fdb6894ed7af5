"""Replaced labels, kept so that past snapshots are reproducible and corrections visible.

A row of the logs holds its latest label only. The label known at an earlier instant is here, and so
is the number of corrections.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Select, case, func, insert, select
from sqlalchemy.sql.elements import ColumnElement

from shared.tables.bulk import LabelOrigin, label_origins
from shared.tables.engine import database_errors
from shared.tables.schema import api_transaction_logs, label_changes, transaction_history_logs
from shared.tables.tiles import Seen
from shared.transaction import OUR_RULES, Label

NEGATIVE, POSITIVE = 0, 1


@dataclass(frozen=True, slots=True)
class Corrections:
    """The number of labels that changed their value."""

    to_positive: int
    to_negative: int

    @property
    def any(self) -> bool:
        return bool(self.to_positive or self.to_negative)


def keep_replaced(
    connection: Connection,
    history: Mapping[str, Seen],
    scored: Mapping[str, Seen],
    labels: Mapping[str, Label],
) -> None:
    """Write down what these labels are about to replace; call it before they do.

    Hearing the same label again later is a change too: it had been known since earlier.
    """
    replaced = {
        key: old
        for key, label in labels.items()
        if (old := label_that_counts(history.get(key), scored.get(key))) is not None
        and _is_replaced_by(old, label)
    }
    if not replaced:
        return
    origins = label_origins(connection, transaction_history_logs, list(replaced))
    origins |= label_origins(connection, api_transaction_logs, list(replaced))
    rows = [
        {
            "transaction_id": key,
            "label": old.label,
            "label_known_at": old.label_known_at,
            **_origin(origins.get((key, old.label_known_at or 0))),
            "new_label": labels[key].label,
            "replaced_at": labels[key].label_known_at_us,
        }
        for key, old in replaced.items()
    ]
    connection.execute(insert(label_changes), rows)


def _origin(origin: LabelOrigin | None) -> dict[str, str | None]:
    source, sent_by = origin or (None, None)
    return {"label_source": source, "label_sent_by": sent_by}


def labels_known_then(as_of_us: int) -> Select[tuple[str, int, int, str | None, str | None]]:
    """Labels that were known at that instant and have been replaced since; each id once.

    Labels that are the model's own decisions are omitted, as they are everywhere.
    """
    return select(
        label_changes.c.transaction_id,
        label_changes.c.label,
        label_changes.c.label_known_at,
        label_changes.c.label_source,
        label_changes.c.label_sent_by,
    ).where(
        label_changes.c.label_known_at <= as_of_us,
        label_changes.c.replaced_at > as_of_us,
        label_changes.c.label_source.is_distinct_from(OUR_RULES),
    )


def count_corrections(engine: Engine, as_of_us: int, since_us: int = 0) -> Corrections:
    """Labels turned round after `since_us`, as far as that was known at `as_of_us`.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(_turned_to(POSITIVE), _turned_to(NEGATIVE)).where(
        label_changes.c.replaced_at > since_us,
        label_changes.c.replaced_at <= as_of_us,
        label_changes.c.label_source.is_distinct_from(OUR_RULES),
    )
    with database_errors("count label corrections"), engine.connect() as connection:
        to_positive, to_negative = connection.execute(query).one()
    return Corrections(to_positive or 0, to_negative or 0)


def _turned_to(label: int) -> ColumnElement[int]:
    is_turned = (label_changes.c.new_label == label) & (label_changes.c.label != label)
    return func.sum(case((is_turned, 1), else_=0))


def label_that_counts(history: Seen | None, scored: Seen | None) -> Seen | None:
    """The copy whose label counts: of two, the one known later, or the API's."""
    known = [seen for seen in (history, scored) if seen is not None and seen.label is not None]
    return max(reversed(known), key=lambda seen: seen.label_known_at or 0, default=None)


def _is_replaced_by(old: Seen, label: Label) -> bool:
    if old.label_known_at is None or label.label_known_at_us < old.label_known_at:
        return False
    return (old.label, old.label_known_at) != (label.label, label.label_known_at_us)
