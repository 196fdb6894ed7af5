"""One declared column out of one source column, by its kind."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from shared.importing.numbers import NumberStyle
from shared.importing.texts import read_texts
from shared.importing.times import TimeReading, read_instants
from shared.rows.reading import (
    Read,
    first,
    nothing,
    read_number_series,
    told,
    without_missing,
    word_problems,
)
from shared.rows.schema import Column, Kind

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
