"""Identifiers, words and labels: one meaning, whichever file and type they come from."""

import polars as pl

from shared.importing.mapping import EVERY_OTHER, LabelRules
from shared.tasks.labels import NEGATIVE, POSITIVE
from shared.transaction import BLANKS

# Excel's form that keeps the leading zeros of an account: ="00123"
_EXCEL = r'^="(.*)"$'
_QUOTED = r"""^(?:"([^"]*)"|'([^']*)')$"""
# ASCII without surrounding blanks, quotes or Excel's leading =.
_PLAIN = r"^[!#-&(-<>-~](?:[ -~]*[!-~])?$"
# Scientific notation of a long number in a spreadsheet; the omitted digits are lost.
SHORTENED = r"^[+-]?\d(?:[.,]\d+)?[eE]\+\d+$"
_WHOLE = r"^[+-]?\d+\.0+$"
_NUMERIC = r"^[+-]?\d+(?:\.\d+)?$"
# From here on a double cannot represent every whole number.
EXACT_DOUBLE = 2**53


def strip(text: pl.Expr) -> pl.Expr:
    """The text without blanks around it."""
    return text.str.strip_chars(BLANKS)


def read_texts(column: pl.Series, *, is_identifier: bool, is_numeric: bool) -> pl.Series:
    """Texts in one Unicode form (NFC); blank is null.

    `is_identifier`: quotes and Excel's ="..." around it are not part of it.
    `is_numeric`: every value of the whole column is a number, so 123.0 is 123.
    """
    if column.dtype != pl.String:
        return _of_numbers(column)
    # fast path: most texts need neither normalising nor stripping
    rest = (~column.str.contains(_PLAIN)).arg_true()
    if len(rest):
        changed = normalized(column.gather(rest), is_identifier=is_identifier)
        column = column.clone().scatter(rest, changed)
    if not is_numeric:
        return column
    text = pl.col("text")
    whole = text.str.replace(r"\.0+$", "")
    text = pl.when(text.str.contains(_WHOLE)).then(whole).otherwise(text)
    return pl.DataFrame({"text": column}).select(text)["text"]


def normalized(column: pl.Series, *, is_identifier: bool) -> pl.Series:
    """Texts that may be written in any way, in one form."""
    text = strip(pl.col("text").str.normalize("NFC"))
    if is_identifier:
        text = text.str.replace(_EXCEL, "${1}").str.replace(_QUOTED, "${1}${2}")
        text = strip(text)
    return pl.DataFrame({"text": column}).select(pl.when(text != "").then(text).alias("text"))[
        "text"
    ]


def numeric_texts(column: pl.Series) -> tuple[int, int]:
    """The number of numeric values in a column of texts, and of all values."""
    texts = read_texts(column, is_identifier=True, is_numeric=False).drop_nulls()
    return int(texts.str.contains(_NUMERIC).sum()), len(texts)


def _of_numbers(column: pl.Series) -> pl.Series:
    """A whole number in a column of floats or decimals stays whole: 123.0 is 123."""
    if column.dtype.is_decimal():
        return column.cast(pl.String).str.replace(r"\.0+$", "")
    if not column.dtype.is_float():
        return column.cast(pl.String)
    raw = pl.col("raw").cast(pl.Float64)
    is_whole = raw.is_finite() & (raw == raw.floor()) & (raw.abs() < EXACT_DOUBLE)
    whole = raw.cast(pl.Int64, strict=False).cast(pl.String)
    text = pl.when(is_whole).then(whole).when(raw.is_finite()).then(raw.cast(pl.String))
    return pl.DataFrame({"raw": column}).select(text.alias("text"))["text"]


_UNKNOWN = ("na", "n/a", "nan", "none", "null", "\\n", "<na>", "unknown", "?", "-", "pending")


def read_labels(column: pl.Series, rules: LabelRules) -> tuple[pl.Series, pl.Series]:
    """Labels 0, 1 or null, and which of the values say something that cannot be read."""
    written = read_texts(_whole(column), is_identifier=True, is_numeric=True).str.to_lowercase()
    unknown = [word.lower() for word in rules.unknown or _UNKNOWN]
    known = {word: label for word, label in _spellings(rules).items() if word not in unknown}
    rest = 0 if EVERY_OTHER in rules.negative else None
    word = pl.col("written")
    missing = word.is_null() | word.is_in(unknown)
    label = word.replace_strict(known, default=rest, return_dtype=pl.Int8)
    table = pl.DataFrame({"written": written}).select(
        label=pl.when(~missing).then(label), unreadable=~missing & label.is_null()
    )
    return table["label"], table["unreadable"]


def _spellings(rules: LabelRules) -> dict[str, int]:
    """The words that mean 1 and 0; those of the mapping alone where it names any."""
    named = bool(rules.positive or rules.negative)
    positive = rules.positive if named else (*POSITIVE, *rules.also_positive)
    negative = rules.negative if named else (*NEGATIVE, *rules.also_negative)
    return {word.strip().lower(): 0 for word in negative} | {
        word.strip().lower(): 1 for word in positive
    }


def _whole(column: pl.Series) -> pl.Series:
    return column.cast(pl.Int8) if column.dtype == pl.Boolean else column
