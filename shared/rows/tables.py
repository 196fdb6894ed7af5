"""The tables of a declared use case, made from its schema: rows, decisions, replaced labels.

A row is stored once, whichever of /predict, an import or a query brought it first. Names include
the version of the declaration, so that a raised version has new tables.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    select,
)
from sqlalchemy.types import JSON

from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.schema import Column as Declared
from shared.rows.schema import Kind, RowSchema
from shared.tables.data_changes import TRANSACTION_LOGS, RowLogs
from shared.tasks import TaskKind

SENDER_CHARACTERS = 64
# SQLite only auto-increments INTEGER PRIMARY KEY; PostgreSQL wants BIGINT
_ChangeId = BigInteger().with_variant(Integer, "sqlite")


@dataclass(frozen=True, slots=True)
class RowTables:
    """The tables of one version of one use case.

    Attributes:
        rows: rows as first ingested, with their latest label.
        decisions: the answer for a row, with its feature vector.
        quarantined: rows of unauthenticated callers with their answers, excluded from training.
        label_changes: labels that a later one replaced, and when.
        replaced_rows: rows as they were before `understudy rows` changed them.
    """

    schema: RowSchema
    rows: Table
    decisions: Table
    quarantined: Table
    label_changes: Table
    replaced_rows: Table

    @property
    def all(self) -> tuple[Table, ...]:
        return (
            self.rows,
            self.decisions,
            self.quarantined,
            self.label_changes,
            self.replaced_rows,
        )


def tables_of(schema: RowSchema) -> RowTables:
    """The tables that a schema stands for; nothing is created yet."""
    metadata = MetaData()
    prefix = f"{schema.name}_v{schema.version}"
    return RowTables(
        schema,
        _rows(f"{prefix}_rows", schema, metadata),
        _decisions(f"{prefix}_decisions", metadata),
        _quarantined(f"{prefix}_quarantined", schema, metadata),
        _label_changes(f"{prefix}_label_changes", schema, metadata),
        _replaced_rows(f"{prefix}_replaced_rows", metadata),
    )


def logs_of_folder(folder: Path | None) -> RowLogs:
    """The tables of the use case that is declared in a folder; of card transactions without one."""
    if folder is None:
        return TRANSACTION_LOGS
    return row_logs(tables_of(read_declaration(folder / FILE_NAME).row_schema))


def row_logs(tables: RowTables) -> RowLogs:
    """The tables that commands search, change, erase and archive."""
    return RowLogs(
        "row_id",
        "entity",
        (tables.rows, tables.quarantined),
        tables.rows,
        tables.label_changes,
        tables.replaced_rows,
        (tables.decisions,),
    )


def served_rows(tables: RowTables) -> FromClause:
    """Rows that were answered, with what was answered; one table of both."""
    rows, decisions = tables.rows, tables.decisions
    more = [column for column in decisions.columns if column.name != "row_id"]
    both = rows.join(decisions, rows.c.row_id == decisions.c.row_id)
    return select(*rows.columns, *more).select_from(both).subquery("served")


def label_type(schema: RowSchema) -> Any:
    """DOUBLE holds the index of a class or a value; a ranking's label is a float32 vector."""
    return LargeBinary() if schema.task.kind is TaskKind.RANKING else Float(53)


def _column_type(column: Declared) -> Any:
    # Text instead of VARCHAR(n): no length limit, so the database refuses no class name
    return {
        Kind.NUMBER: Float(53),
        Kind.FLAG: SmallInteger(),
        Kind.CATEGORY: Text(),
        Kind.MOMENT: BigInteger(),
    }[column.kind]


def _row_columns(schema: RowSchema) -> list[Column[Any]]:
    # Declared columns are nullable even if the declaration requires a value: rows from before a
    # column was declared have none, and requests and imports are validated on entry.
    declared = [Column(column.name, _column_type(column)) for column in schema.columns]
    return [
        Column("row_id", Text, primary_key=True),
        Column("entity", Text, nullable=False),
        Column("event_time", BigInteger, nullable=False),
        Column("ingested_at", BigInteger, nullable=False),
        *declared,
        Column("label", label_type(schema)),
        Column("label_known_at", BigInteger),
        Column("label_source", Text),
        Column("sent_by", String(SENDER_CHARACTERS)),
        Column("label_sent_by", String(SENDER_CHARACTERS)),
    ]


def _decision_columns() -> list[Column[Any]]:
    return [
        Column("decided_at", BigInteger, nullable=False),
        Column("score", Float(53)),
        Column("component_scores", JSON),
        Column("decision", Text),
        Column("matched_rules", JSON),
        Column("reason_codes", JSON),
        Column("model_version", Text, nullable=False),
        Column("feature_set_version", Text),
        # float32 little-endian: every slot of feature_set_version, as scored
        Column("feature_vector", LargeBinary),
        Column("latency_ms", Float(53)),
    ]


def _rows(name: str, schema: RowSchema, metadata: MetaData) -> Table:
    return Table(
        name,
        metadata,
        *_row_columns(schema),
        Index(f"ix_{name}_event_time", "event_time"),
        Index(f"ix_{name}_entity", "entity", "event_time"),
    )


def _decisions(name: str, metadata: MetaData) -> Table:
    return Table(
        name,
        metadata,
        Column("row_id", Text, primary_key=True),
        *_decision_columns(),
        Index(f"ix_{name}_decided_at", "decided_at"),
    )


def _quarantined(name: str, schema: RowSchema, metadata: MetaData) -> Table:
    return Table(name, metadata, *_row_columns(schema), *_decision_columns())


def _label_changes(name: str, schema: RowSchema, metadata: MetaData) -> Table:
    return Table(
        name,
        metadata,
        Column("changeid", _ChangeId, primary_key=True, autoincrement=True),
        Column("row_id", Text, nullable=False),
        Column("label", label_type(schema), nullable=False),
        Column("label_known_at", BigInteger, nullable=False),
        Column("label_source", Text),
        Column("label_sent_by", String(SENDER_CHARACTERS)),
        Column("new_label", label_type(schema), nullable=False),
        Column("replaced_at", BigInteger, nullable=False),
        Index(f"ix_{name}_replaced_at", "replaced_at"),
    )


def _replaced_rows(name: str, metadata: MetaData) -> Table:
    return Table(
        name,
        metadata,
        Column("changeid", BigInteger, primary_key=True, autoincrement=False),
        Column("log", Text, primary_key=True),
        Column("row_id", Text, primary_key=True),
        Column("before", JSON, nullable=False),
    )
