"""Labels of a source as they are stored: the index of a class, a value, or a vector of items."""

import numpy as np
import polars as pl

from shared.importing.numbers import NumberStyle
from shared.importing.texts import read_texts
from shared.rows.declaration import Declaration
from shared.rows.reading import (
    Read,
    first,
    nothing,
    read_number_series,
    together,
    told,
    without_missing,
)
from shared.rows.schema import MAX_NUMBER
from shared.tasks import TaskKind

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
