"""The encoder of whole DataFrames, as polars expressions: the same bits as `RowEncoder`."""

import numpy as np
import polars as pl

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.rows.encoder import word_hashes
from shared.rows.schema import Kind, MomentPart, RowSchema
from shared.rows.slots import Slot, SlotKind, slots_of
from shared.usecase.serving import FloatMatrix

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
