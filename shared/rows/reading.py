"""Columns as they are read: values, and for each that cannot be used a sentence that says why."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from shared.importing.numbers import MISSING, NumberStyle, read_numbers, tidy
from shared.importing.texts import strip
from shared.rows.request_fields import LONGEST_WORD


@dataclass(frozen=True, slots=True)
class Read:
    """A column's values, and the problem where a value could not be read; null: no problem."""

    values: pl.Series
    problems: pl.Series


def read_number_series(source: pl.Series, style: NumberStyle) -> tuple[pl.Series, pl.Series]:
    """Numbers of a column of any type, and where a text is not a number."""
    if source.dtype == pl.String:
        return _read_number_texts(source, style)
    if source.dtype.is_numeric() or source.dtype in (pl.Boolean, pl.Null):
        values = source.cast(pl.Float64, strict=False).fill_nan(None)
        return values, pl.Series([False]).new_from_index(0, len(source))
    texts = source.cast(pl.String)
    return pl.Series([None] * len(source), dtype=pl.Float64), texts.is_not_null()


def _read_number_texts(source: pl.Series, style: NumberStyle) -> tuple[pl.Series, pl.Series]:
    """Plain numbers at once; only what else is written goes through all forms of writing."""
    unreadable = pl.Series([False]).new_from_index(0, len(source))
    plain = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(source))
    if style.thousands is None and style.decimal == ".":
        plain = source.cast(pl.Float64, strict=False)
        plain = plain.set(~plain.is_finite(), None)
    rest = (source.is_not_null() & plain.is_null()).arg_true()
    if not len(rest):
        return plain, unreadable
    texts = source.gather(rest)
    values = read_numbers(texts, style)
    wrong = tidy(texts).is_not_null() & values.is_null()
    return plain.scatter(rest, values), unreadable.scatter(rest, wrong)


def without_missing(source: pl.Series) -> pl.Series:
    """The column with null for texts that stand for a missing value, e.g. NA and None."""
    if source.dtype != pl.String:
        return source
    text = pl.col("text")
    is_missing = strip(text).str.to_lowercase().is_in(MISSING)
    return pl.DataFrame({"text": source}).select(pl.when(~is_missing).then(text))["text"]


def told(source: pl.Series, where: pl.Series, text: str) -> pl.Series:
    """The text with the value in it, where it holds."""
    if not where.any():
        return nothing(len(source))
    # once only: a column of theirs may be called so
    before, _, after = text.partition("{}")
    shown = pl.concat_str(
        [pl.lit(before + "'"), pl.col("value").str.slice(0, 60), pl.lit("'" + after)]
    )
    table = pl.DataFrame({"value": source.cast(pl.String, strict=False), "where": where})
    return table.select(pl.when("where").then(shown).alias("told"))["told"]


def word_problems(name: str, texts: pl.Series) -> pl.Series:
    """A problem where a text is none that a request may hold: an import has the same bounds."""
    too_long = (texts.str.len_chars() > LONGEST_WORD).fill_null(value=False)
    controls = texts.str.contains(r"\p{Cc}").fill_null(value=False)
    long = f"{name} is {{}}..., longer than {LONGEST_WORD} characters: shorten it"
    problems = told(texts, too_long, long)
    text = f"{name} holds control characters, such as a line's end: replace them"
    return or_else(problems, controls, text)


def or_else(problems: pl.Series, where: pl.Series, text: str) -> pl.Series:
    if not where.any():
        return problems
    table = pl.DataFrame({"problem": problems, "where": where})
    text_there = pl.when("where").then(pl.lit(text))
    return table.select(pl.coalesce("problem", text_there).alias("problem"))["problem"]


def first(one: pl.Series, other: pl.Series) -> pl.Series:
    """The first problem of each row; a column of none, which is nearly always the case, is free."""
    if other.null_count() == len(other):
        return one
    if one.null_count() == len(one):
        return other
    return pl.select(pl.coalesce(one, other)).to_series()


def together(problems: Sequence[pl.Series], height: int) -> pl.Series:
    """All problems of a row in one text; null where there is none."""
    found = [one for one in problems if one.null_count() < len(one)]
    if not found:
        return nothing(height)
    table = pl.DataFrame({str(at): problem for at, problem in enumerate(found)})
    text = table.select(pl.concat_str(pl.all(), separator="; ", ignore_nulls=True).alias("t"))
    return text.select(pl.when(pl.col("t") != "").then("t").alias("t"))["t"]


def nothing(length: int) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, length)
