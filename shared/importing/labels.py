"""Labels as databases and people write them; what cannot be read is unknown, never 0."""

import polars as pl

from shared.importing.mapping import EVERY_OTHER, LabelRules
from shared.importing.texts import read_texts
from shared.label_words import NEGATIVE, POSITIVE

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
