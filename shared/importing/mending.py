"""Rows of an import that are stored already: labels are updated, other differences reported."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import Connection, select

from shared.importing.mapping import TARGETS, Mapping
from shared.tables.bulk import among
from shared.tables.data_changes import replace_rows, sender_of
from shared.tables.schema import transaction_history_logs
from shared.tables.writer import write_labels
from shared.transaction import Label

_EXAMPLES = 3
_LABEL = ("label", "label_known_at", "label_source", "label_sent_by")
# Columns left out of the comparison when a row is imported again.
_NOT_COMPARED = ("transaction_id", "sent_by", *_LABEL)


@dataclass(slots=True)
class MendedRows:
    """The outcome of rows that were stored before.

    Attributes:
        labels_new, labels_changed: labels stored with this import.
        labels_older: labels that are older than the ones stored, which stay.
        differing: rows whose other columns differ; `updated` of them were set.
        examples: a few of them, in words.
    """

    labels_new: int = 0
    labels_changed: int = 0
    labels_older: int = 0
    differing: int = 0
    updated: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mending:
    """Compares the rows of one import with what is stored."""

    number: int
    mapping: Mapping
    update: bool

    def mend(self, connection: Connection, rows: pl.DataFrame, mended: MendedRows) -> None:
        """Look at rows of which some were stored before; those just stored show no difference."""
        stored = _stored(connection, rows["transaction_id"].to_list())
        both = rows.with_columns(first=pl.col("transaction_id").is_first_distinct()).join(
            stored, on="transaction_id", suffix=":stored", maintain_order="left"
        )
        if "label" in self.mapping.columns:
            self._labels(connection, both.filter("first"), mended)
        self._others(connection, both, mended)

    def _labels(self, connection: Connection, both: pl.DataFrame, mended: MendedRows) -> None:
        known, before = pl.col("label_known_at"), pl.col("label_known_at:stored")
        labelled = both.filter(pl.col("label").is_not_null())
        new = labelled.filter(pl.col("label:stored").is_null())
        other = labelled.filter(pl.col("label") != pl.col("label:stored"))
        changed = other.filter(known >= before)
        mended.labels_new += new.height
        mended.labels_changed += changed.height
        mended.labels_older += other.height - changed.height
        columns = ("transaction_id", "label", "label_known_at", "label_source")
        labelled = pl.concat([new, changed]).select(columns)
        sender = sender_of(self.number)
        labels = [
            Label(name, value, at, by, sender) for name, value, at, by in labelled.iter_rows()
        ]
        write_labels(connection, labels)

    def _others(self, connection: Connection, both: pl.DataFrame, mended: MendedRows) -> None:
        columns = [name for name in TARGETS
                   if name in self.mapping.columns and name not in _NOT_COMPARED]  # fmt: skip
        same = [pl.col(name).eq_missing(pl.col(f"{name}:stored")) for name in columns]
        differing = both.filter(~pl.all_horizontal(same))
        mended.differing += differing.height
        for row in differing.head(_EXAMPLES - len(mended.examples)).iter_rows(named=True):
            mended.examples.append(_described(row, columns))
        # of rows with the same id in one file the first counts, as for new rows
        once = differing.filter("first")
        if self.update and once.height:
            values = once.select("transaction_id", *columns).to_dicts()
            replace_rows(connection, self.number, transaction_history_logs, values, columns)
            mended.updated += once.height


def _stored(connection: Connection, ids: Sequence[str]) -> pl.DataFrame:
    log = transaction_history_logs
    query = select(*(log.c[name] for name in TARGETS)).where(among(connection, log, ids))
    rows = [tuple(row) for row in connection.execute(query)]
    types: dict[str, Any] = {name: _polars_type(name) for name in TARGETS}
    return pl.DataFrame(rows, schema=types, orient="row")


def _polars_type(name: str) -> pl.DataType:
    kind = transaction_history_logs.c[name].type.python_type
    if name == "label":
        return pl.Int8()
    return pl.Int64() if kind is int else pl.Float64() if kind is float else pl.String()


def _described(row: dict[str, Any], columns: Sequence[str]) -> str:
    changes = [
        f"{name} is {row[f'{name}:stored']!r} and would be {row[name]!r}"
        for name in columns
        if row[name] != row[f"{name}:stored"]
    ]
    return f"{row['transaction_id']}: {', '.join(changes)}"
