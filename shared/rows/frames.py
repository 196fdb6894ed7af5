"""Declared rows as polars frames: what was known at an instant, and its vectors."""

import numpy as np
import polars as pl
from sqlalchemy import Engine, Select, select

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.rows.encoder import Slot, SlotKind, slots_of, word_hashes
from shared.rows.schema import Kind, MomentPart, RowSchema
from shared.rows.tables import RowTables
from shared.tables.engine import database_errors
from shared.tasks import TaskKind
from shared.usecase.serving import FloatMatrix

_HEAD = ("row_id", "entity", "event_time", "ingested_at")
_TAIL = ("label", "label_known_at", "label_source", "label_sent_by", "sent_by")
_ROWS_PER_FETCH = 50_000


def snapshot_schema(schema: RowSchema) -> dict[str, pl.DataType]:
    """The columns of a snapshot in order, with their types."""
    label = pl.Binary() if schema.task.kind is TaskKind.RANKING else pl.Float64()
    texts = {name: pl.String() for name in ("label_source", "label_sent_by", "sent_by")}
    return {
        "row_id": pl.String(),
        "entity": pl.String(),
        "event_time": pl.Int64(),
        "ingested_at": pl.Int64(),
        **{column.name: POLARS_TYPES[column.kind] for column in schema.columns},
        "label": label,
        "label_known_at": pl.Int64(),
        **texts,
    }


def read_rows(engine: Engine, tables: RowTables, as_of_us: int) -> pl.DataFrame:
    """Rows ingested by that instant, in time order, with the labels known by then.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    rows = tables.rows.c
    wanted = [rows[name] for name in (*_HEAD, *tables.schema.names, *_TAIL)]
    query = select(*wanted).where(rows.ingested_at <= as_of_us)
    query = query.order_by(rows.event_time, rows.row_id)
    types = snapshot_schema(tables.schema)
    flags = [column.name for column in tables.schema.columns if column.kind is Kind.FLAG]
    stored = {**types, **{name: pl.Int64() for name in flags}}
    with database_errors("read the rows of the use case"), engine.connect() as connection:
        result = connection.execution_options(stream_results=True).execute(query)
        parts = [
            pl.DataFrame([tuple(row) for row in part], schema=stored, orient="row")
            for part in result.partitions(_ROWS_PER_FETCH)
        ]
        replaced = connection.execute(_labels_known_then(tables, as_of_us)).all()
    frame = pl.concat(parts) if parts else pl.DataFrame(schema=stored)
    frame = frame.with_columns(pl.col(name).cast(pl.Boolean) for name in flags)
    return _as_known_then(frame, [tuple(row) for row in replaced], types, as_of_us)


def _labels_known_then(tables: RowTables, as_of_us: int) -> Select[tuple[object, ...]]:
    """Labels that were known then and have been replaced since."""
    old = tables.label_changes.c
    columns = (old.row_id, old.label, old.label_known_at, old.label_source, old.label_sent_by)
    return (
        select(*columns)
        .where(old.label_known_at <= as_of_us, old.replaced_at > as_of_us)
        .order_by(old.replaced_at)
    )


def _as_known_then(
    frame: pl.DataFrame,
    replaced: list[tuple[object, ...]],
    types: dict[str, pl.DataType],
    as_of_us: int,
) -> pl.DataFrame:
    names = ("label", "label_known_at", "label_source", "label_sent_by")
    is_known = pl.col("label_known_at") <= as_of_us
    frame = frame.with_columns(pl.when(is_known).then(pl.col(name)).alias(name) for name in names)
    if not replaced:
        return frame
    old = pl.DataFrame(
        replaced, schema={"row_id": types["row_id"], **{n: types[n] for n in names}}, orient="row"
    ).unique("row_id", keep="first", maintain_order=True)
    both = frame.join(
        old.rename({name: f"{name}:then" for name in names}), on="row_id", how="left",
        maintain_order="left",
    )  # fmt: skip
    then = both.with_columns(pl.coalesce(name, f"{name}:then").alias(name) for name in names)
    return then.select(frame.columns)


EVENT_TIME = "event_time"

POLARS_TYPES: dict[Kind, pl.DataType] = {
    Kind.NUMBER: pl.Float64(),
    Kind.FLAG: pl.Boolean(),
    Kind.CATEGORY: pl.String(),
    Kind.MOMENT: pl.Int64(),
}
"""The polars type of each kind of column; moments in microseconds since the epoch."""


def encode_frame(schema: RowSchema, frame: pl.DataFrame) -> FloatMatrix:
    """All vectors of a frame with the schema's columns and `event_time`, (rows, slots)."""
    slots = slots_of(schema)
    columns = frame.select(
        _expression(slot, _value(schema, slot)).cast(pl.Float32).alias(slot.name) for slot in slots
    )
    matrix = np.empty((frame.height, len(slots)), dtype=np.float32)
    for at, name in enumerate(columns.columns):
        matrix[:, at] = columns[name].fill_null(float("nan")).to_numpy()
    return matrix


def _value(schema: RowSchema, slot: Slot) -> pl.Expr:
    column = schema.column(slot.column)
    value = pl.col(column.name)
    return value if column.default is None else value.fill_null(pl.lit(column.default))


def _expression(slot: Slot, value: pl.Expr) -> pl.Expr:
    if slot.kind is SlotKind.INDEX:
        index = {word: float(at) for at, word in enumerate(slot.words)}
        return value.replace_strict(index, default=None, return_dtype=pl.Float64)
    if slot.kind is SlotKind.HASH:
        position = slot.position
        return value.map_batches(lambda words: _hashed(words, position), return_dtype=pl.Float64)
    if slot.part is not None:
        return _part(slot.part, value)
    return value


def _hashed(words: pl.Series, position: int) -> pl.Series:
    """Each distinct word is hashed once."""
    distinct = words.drop_nulls().unique()
    codes = [float(word_hashes(word)[position]) for word in distinct]
    return words.replace_strict(
        distinct, pl.Series(codes, dtype=pl.Float64), default=None, return_dtype=pl.Float64
    )


def _part(part: MomentPart, moment: pl.Expr) -> pl.Expr:
    if part is MomentPart.AGE_DAYS:
        return (pl.col(EVENT_TIME) - moment).cast(pl.Float64) / MICROS_PER_DAY
    if part is MomentPart.HOUR:
        return moment.floordiv(MICROS_PER_HOUR) % 24
    if part is MomentPart.WEEKDAY:
        return (moment.floordiv(MICROS_PER_DAY) + 3) % 7
    date = pl.from_epoch(moment, time_unit="us").dt
    return {MomentPart.DAY: date.day, MomentPart.MONTH: date.month, MomentPart.YEAR: date.year}[
        part
    ]()
