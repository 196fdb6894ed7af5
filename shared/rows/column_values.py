"""The values of declared columns, and of the label, out of the columns of a source."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from shared.importing.numbers import NumberStyle
from shared.importing.texts import read_texts
from shared.importing.times import TimeReading, read_instants
from shared.rows.declaration import Declaration
from shared.rows.reading import (
    Read,
    first,
    nothing,
    read_number_series,
    together,
    told,
    without_missing,
    word_problems,
)
from shared.rows.schema import MAX_NUMBER, Column, Kind
from shared.tasks import TaskKind

FLAG_WORDS = {
    "true": True, "false": False, "yes": True, "no": False, "y": True, "n": False, "t": True,
    "f": False, "1": True, "0": False, "1.0": True, "0.0": False, "on": True, "off": False,
}  # fmt: skip
_SHOWN_VALUES = 6
# For texts repeated this often, a cache lookup is cheaper than parsing.
_FEW = 4
# Parsed texts of one column that are cached across pieces: a few megabytes.
_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Written:
    """The formats of a source's numbers and instants."""

    numbers: NumberStyle
    times: TimeReading


class DistinctTexts:
    """A reader of one column that reads each distinct text once, however many pieces have it."""

    def __init__(self, read: Callable[[pl.Series], Read]) -> None:
        self._read = read
        self._known: pl.DataFrame | None = None

    def __call__(self, source: pl.Series) -> Read:
        """Values and problems, as the reader would give them."""
        if source.dtype != pl.String:
            return self._read(source)
        texts = source.unique()
        if len(texts) * _FEW > len(source):
            return self._read(source)
        known = self._with(texts)
        joined = pl.DataFrame({"text": source}).join(
            known, on="text", how="left", nulls_equal=True, maintain_order="left"
        )
        return Read(joined["value"], joined["problem"])

    def _with(self, texts: pl.Series) -> pl.DataFrame:
        """The values of these texts; new ones are read now."""
        known = self._known
        if known is not None:
            texts = texts.filter(~texts.is_in(known["text"], nulls_equal=True))
            if not len(texts):
                return known
        read = self._read(texts)
        fresh = pl.DataFrame({"text": texts, "value": read.values, "problem": read.problems})
        known = fresh if known is None else pl.concat([known, fresh])
        if known.height <= _REMEMBERED:
            self._known = known
        return known


def column_reader(column: Column, written: Written) -> Callable[[pl.Series], Read]:
    """Reads the values of a declared column; whatever is required is examined elsewhere."""
    reader = _READERS[column.kind]

    def read(source: pl.Series) -> Read:
        return reader(column, source, written)

    return read if column.kind is Kind.NUMBER else DistinctTexts(read)


def _number(column: Column, source: pl.Series, written: Written) -> Read:
    values, unreadable = read_number_series(source, written.numbers)
    problems = told(source, unreadable, f"{column.name} is {{}}, which is not a number")
    beyond = (values < column.minimum) | (values > column.maximum)
    bounds = f"{column.name} is {{}}, outside of {column.minimum:g} to {column.maximum:g}"
    return Read(values, first(problems, told(source, beyond.fill_null(value=False), bounds)))


def _flag(column: Column, source: pl.Series, _written: Written) -> Read:
    if source.dtype == pl.Boolean:
        return Read(source, nothing(len(source)))
    texts = without_missing(read_texts(source, is_identifier=True, is_numeric=True))
    values = texts.str.to_lowercase().replace_strict(
        FLAG_WORDS, default=None, return_dtype=pl.Boolean
    )
    unreadable = texts.is_not_null() & values.is_null()
    return Read(
        values, told(source, unreadable, f"{column.name} is {{}}, which is neither yes nor no")
    )


def _category(column: Column, source: pl.Series, _written: Written) -> Read:
    texts = read_texts(source, is_identifier=False, is_numeric=False)
    if not column.values:
        return Read(texts, word_problems(column.name, texts))
    unknown = texts.is_not_null() & ~texts.is_in(list(column.values))
    shown = ", ".join(column.values[:_SHOWN_VALUES])
    more = ", ..." if len(column.values) > _SHOWN_VALUES else ""
    text = (
        f"{column.name} is {{}}, not one of its values ({shown}{more}): add it to them, or make "
        'it an open category, kind = "category" without values'
    )
    return Read(texts, told(texts, unknown, text))


def _moment(column: Column, source: pl.Series, written: Written) -> Read:
    read = read_instants([without_missing(source)], written.times, column.name)
    return Read(read.value, read.problem)


_READERS: dict[Kind, Callable[[Column, pl.Series, Written], Read]] = {
    Kind.NUMBER: _number,
    Kind.FLAG: _flag,
    Kind.CATEGORY: _category,
    Kind.MOMENT: _moment,
}


_SHOWN_CLASSES = 6


def read_label(declared: Declaration, frame: pl.DataFrame, style: NumberStyle) -> Read:
    """The labels of a frame; null where there is none, or where the source has no such column."""
    task = declared.row_schema.task
    if task.kind is TaskKind.RANKING:
        return _items(declared, frame, style)
    column = declared.label.column
    if column is None or column not in frame.columns:
        return Read(pl.Series([None] * frame.height, dtype=pl.Float64), nothing(frame.height))
    source = frame[column]
    if task.kind is TaskKind.REGRESSION:
        values, unreadable = read_number_series(source, style)
        return Read(values, _number_problems(column, source, values, unreadable))
    return _classes(declared, column, source)


def _number_problems(
    name: str, source: pl.Series, values: pl.Series, unreadable: pl.Series
) -> pl.Series:
    """A problem where a label is not a number, or one whose square no metric can hold."""
    problems = told(source, unreadable, f"{name} is {{}}, which is not a number")
    beyond = (values.abs() > MAX_NUMBER).fill_null(value=False)
    bounds = f"{name} is {{}}, outside of {-MAX_NUMBER:g} to {MAX_NUMBER:g}: leave the label empty"
    return first(problems, told(source, beyond, bounds))


def class_texts(source: pl.Series) -> pl.Series:
    """The text that a class goes by: `1`, `1.0` and `"1"` are one class; blank is null."""
    return read_texts(source, is_identifier=True, is_numeric=True)


def _classes(declared: Declaration, column: str, source: pl.Series) -> Read:
    names, label = declared.row_schema.task.names, declared.label
    texts = class_texts(source)
    index = {name: float(at) for at, name in enumerate(names)}
    is_class = texts.is_in(list(index))
    texts = pl.select(pl.when(is_class).then(texts).otherwise(without_missing(texts))).to_series()
    # without a declared negative class every other word is negative
    others = 0.0 if label.positive is not None and label.negative is None else None
    values = texts.replace_strict(index, default=others, return_dtype=pl.Float64)
    table = pl.DataFrame({"text": texts, "value": values})
    values = table.select(pl.when(pl.col("text").is_not_null()).then("value").alias("v"))["v"]
    shown = ", ".join(names[:_SHOWN_CLASSES]) + (", ..." if len(names) > _SHOWN_CLASSES else "")
    unknown = texts.is_not_null() & values.is_null()
    text = f"{column} is {{}}, not one of the classes ({shown}): add it under [label]"
    return Read(values, told(texts, unknown, text))


def _items(declared: Declaration, frame: pl.DataFrame, style: NumberStyle) -> Read:
    """The next ratings as a vector of float32; null where a row rates none."""
    sources = declared.row_schema.roles.item_labels
    present = [name for name in sources if name in frame.columns]
    if not present:
        return Read(pl.Series([None] * frame.height, dtype=pl.Binary), nothing(frame.height))
    matrix = np.full((frame.height, len(sources)), np.nan, dtype="<f4")
    problems = []
    for at, name in enumerate(sources):
        if name not in frame.columns:
            continue
        values, unreadable = read_number_series(frame[name], style)
        rated = values.cast(pl.Float64).to_numpy().astype("<f4")
        matrix[:, at] = rated
        problems.append(_number_problems(name, frame[name], values, unreadable))
    known = ~np.isnan(matrix).all(axis=1)
    vectors = [row.tobytes() if there else None for row, there in zip(matrix, known, strict=True)]
    return Read(pl.Series(vectors, dtype=pl.Binary), together(problems, frame.height))
