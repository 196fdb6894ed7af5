"""Declared rows between requests, the journal and their tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, FromClause, Table
from sqlalchemy.dialects import postgresql, sqlite

from shared.contracts.feedback import feedback_request
from shared.rows.feedback_labels import label_form, stored_form
from shared.rows.request_fields import role_fields
from shared.rows.schema import Kind, Row, RowSchema
from shared.rows.store import RowLabel, insert_rows, store_labels
from shared.rows.table_changes import make_tables
from shared.rows.tables import served_rows, tables_of
from shared.tables.engine import migrate
from shared.tables.writer import WrittenLabels
from shared.transaction import Label
from shared.usecase.row_store import RowFields

_HEAD = ("row_id", "entity", "event_time", "ingested_at")
_JSON = frozenset({"component_scores", "matched_rules", "reason_codes"})
Records = Sequence[tuple[Any, ...]]


class DeclaredRowStore:
    """Implements `RowStore` for a schema."""

    def __init__(self, schema: RowSchema) -> None:
        self._schema = schema
        self._tables = tables_of(schema)
        self._served = served_rows(self._tables)
        self._flags = [c.name for c in schema.columns if c.kind is Kind.FLAG]
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

    def decided(self, *, quarantined: bool) -> FromClause:
        return self._tables.quarantined if quarantined else self._served

    def prepare(self, engine: Engine) -> None:
        migrate(engine)
        make_tables(engine, self._tables)

    def write_decisions(
        self, connection: Connection, columns: Sequence[str], records: Records
    ) -> None:
        rows, decisions = self._tables.rows, self._tables.decisions
        found = [dict(zip(columns, record, strict=True)) for record in records]
        insert_rows(connection, self._tables, list(self._of_table(found, rows)))
        stamped = ({**one, "decided_at": one["ingested_at"]} for one in found)
        _insert(connection, decisions, list(self._of_table(stamped, decisions)))

    def write_quarantined(
        self, connection: Connection, columns: Sequence[str], records: Records
    ) -> None:
        found = [dict(zip(columns, record, strict=True)) for record in records]
        stamped = ({**one, "decided_at": one["ingested_at"]} for one in found)
        table = self._tables.quarantined
        _insert(connection, table, list(self._of_table(stamped, table)))

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
        return WrittenLabels(list(dict.fromkeys(ids)), found.changed_ids, found.outdated_ids)

    def _of_table(
        self, records: Iterator[dict[str, Any]] | Sequence[dict[str, Any]], table: Table
    ) -> Iterator[dict[str, Any]]:
        """The stored rows of the records; JSON stored as text is parsed."""
        for record in records:
            found = {name: value for name, value in record.items() if name in table.c}
            for name in self._flags:
                if found.get(name) is not None:
                    found[name] = int(found[name])
            for name in _JSON & found.keys():
                if isinstance(found[name], str):
                    found[name] = orjson.loads(found[name])
            yield found


def _insert(connection: Connection, table: Table, records: Sequence[dict[str, Any]]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing(index_elements=["row_id"])
    first = {record["row_id"]: record for record in reversed(records)}
    if first:
        connection.execute(statement, list(first.values()))
