"""Declared rows between requests, the journal and their tables."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, FromClause, Table

from shared.clock import isoformat
from shared.contracts.feedback import feedback_request
from shared.rows.feedback_labels import label_form, stored_form
from shared.rows.request_fields import role_fields
from shared.rows.schema import Kind, Row, RowSchema
from shared.rows.store import RowLabel, insert_unless_there, store_labels
from shared.rows.table_changes import make_tables
from shared.rows.tables import served_rows, tables_of
from shared.tables.engine import migrate
from shared.tables.writer import WrittenLabels
from shared.tasks.labels import label_name
from shared.transaction import Label
from shared.usecase.rows import RowFields

_HEAD = ("row_id", "entity", "event_time", "ingested_at")
Records = Sequence[tuple[Any, ...]]


class DeclaredRowStore:
    """Implements `RowStore` for a schema."""

    def __init__(self, schema: RowSchema) -> None:
        self._schema = schema
        self._tables = tables_of(schema)
        self._served = served_rows(self._tables)
        self._flags = [c.name for c in schema.columns if c.kind is Kind.FLAG]
        self._moments = [c.name for c in schema.columns if c.kind is Kind.MOMENT]
        named = role_fields(schema)
        self.fields = RowFields(named.row_id, named.entity)
        self.feedback_request = feedback_request(label_form(schema))
        self.columns = (*_HEAD, *schema.names)
        self._field_of = {
            "row_id": named.row_id,
            "entity": named.entity or "entity",
            "event_time": named.time or "event_time",
        }

    def field_of(self, column: str) -> str:
        return self._field_of.get(column, column)

    def values(self, row: Row) -> tuple[Any, ...]:
        return (row.row_id, row.entity, row.event_time_us, row.ingested_at_us, *row.values)

    def row(self, values: Mapping[str, Any]) -> Row:
        flags = self._flags
        rows = [
            bool(values[name]) if name in flags and values[name] is not None else values[name]
            for name in self._schema.names
        ]
        head = [values[name] for name in _HEAD]
        return Row(head[0], head[1], head[2], head[3], tuple(rows))

    @property
    def label_changes(self) -> Table:
        return self._tables.label_changes

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        row = self.row(values)
        found = dict(zip(self.columns, self.values(row), strict=True))
        moments = ("event_time", "ingested_at", *self._moments)
        instants = {name: found[name] for name in moments if found[name] is not None}
        return found | {name: isoformat(int(instant)) for name, instant in instants.items()}

    def label_name(self, stored: Any) -> str | None:
        task = self._schema.task
        return str(label_name(task, stored)) if task.is_classification else None

    def decided(self, *, quarantined: bool) -> FromClause:
        return self._tables.quarantined if quarantined else self._served

    def decided_ids(self, *, quarantined: bool) -> FromClause:
        return self._tables.quarantined if quarantined else self._tables.decisions

    def prepare(self, engine: Engine) -> None:
        migrate(engine)
        make_tables(engine, self._tables)

    def write_decisions(
        self, connection: Connection, columns: Sequence[str], records: Records
    ) -> int:
        self._insert(connection, self._tables.rows, columns, records)
        return self._insert(connection, self._tables.decisions, columns, records)

    def write_quarantined(
        self, connection: Connection, columns: Sequence[str], records: Records
    ) -> int:
        return self._insert(connection, self._tables.quarantined, columns, records)

    def store_labels(self, connection: Connection, labels: Sequence[Label]) -> WrittenLabels:
        rows = [
            RowLabel(
                label.transaction_id,
                stored_form(label.label),
                label.label_known_at_us,
                label.label_source,
                label.label_sent_by,
            )
            for label in labels
        ]
        found = store_labels(connection, self._tables, rows)
        ids = [one.row_id for one in rows if one.row_id not in found.unknown_ids]
        return WrittenLabels(
            list(dict.fromkeys(ids)), found.changed_ids, found.outdated_ids, found.delays_us
        )

    def _insert(
        self, connection: Connection, table: Table, columns: Sequence[str], records: Records
    ) -> int:
        """Store what a table holds of each record, unless it has the row; returns how many.

        As tuples, for speed.
        """
        names, places = _columns_of(table, columns)
        stored: Sequence[tuple[Any, ...]] = list(map(itemgetter(*places), records))
        flags = [at for at, name in enumerate(names) if name in self._flags]
        if flags and connection.dialect.name == "postgresql":
            # SQLite stores true as 1; PostgreSQL refuses true in a numeric column
            stored = [_with_numbers(record, flags) for record in stored]
        return insert_unless_there(connection, table, names, stored)


def _columns_of(table: Table, columns: Sequence[str]) -> tuple[list[str], list[int]]:
    """Columns of the table that a record fills, and where in a record each one's value is."""
    place = {name: at for at, name in enumerate(columns)}
    # the decision is made when the row is ingested
    place["decided_at"] = place["ingested_at"]
    names = [name for name in table.c.keys() if name in place]  # noqa: SIM118 - not the columns
    return names, [place[name] for name in names]


def _with_numbers(record: tuple[Any, ...], flags: Sequence[int]) -> tuple[Any, ...]:
    values = list(record)
    for at in flags:
        values[at] = None if values[at] is None else int(values[at])
    return tuple(values)
