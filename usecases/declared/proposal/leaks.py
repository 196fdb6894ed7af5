"""Columns that know the label too well, and columns that are probably known only after it."""

import re

import numpy as np
import polars as pl

from shared.importing.numbers import NumberStyle
from shared.importing.texts import read_texts
from shared.rows.reading import read_number_series
from shared.rows.schema import Kind
from shared.tasks import TaskKind
from usecases.declared.power import Floats, ranking_power, word_means

TOO_GOOD = 0.98
_FEWEST = 50
_NULLS_TOO_GOOD = 0.9
_LATER_SHARE = 0.01
_AFTER_WORDS = re.compile(
    r"(cancel|churn|closed|closing|refund|chargeback|outcome|result|resolved|resolution|"
    r"terminat|exit|settle|paid_off|collection|recover|final|after|reason_for|post_)",
    re.IGNORECASE,
)


def copies_label(column: pl.Series, labels: pl.Series) -> bool:
    """True if each value stands for one label, and each label for one value."""
    table = pl.DataFrame({"value": read_texts(column, is_identifier=True, is_numeric=True),
                          "label": labels}).drop_nulls()  # fmt: skip
    if table.height < 2 or table["label"].n_unique() < 2:
        return False
    pairs = table.unique()
    return pairs.height == pairs["value"].n_unique() == pairs["label"].n_unique()


def leak_warning(
    kind: Kind, column: pl.Series, labels: pl.Series, task: TaskKind, style: NumberStyle
) -> str | None:
    """The power of a column alone to rank the label, where it is implausibly high."""
    known = labels.is_not_null()
    truth = labels.filter(known).to_numpy().astype(np.float64)
    values = column.filter(known)
    if len(truth) < _FEWEST or len(np.unique(truth)) < 2:
        return None
    power = ranking_power(_as_numbers(kind, values, truth, style), truth, task)
    if power > TOO_GOOD:
        return f"it alone ranks the label {power:.3f} of 1: is it known before the label is?"
    missing = values.is_null().to_numpy().astype(np.float64)
    if 0 < missing.mean() < 1 and ranking_power(missing, truth, task) > _NULLS_TOO_GOOD:
        return "whether it has a value nearly determines the label: is it filled in afterwards?"
    return None


def known_late_warning(
    name: str, kind: Kind, moments_us: pl.Series | None, times_us: pl.Series | None
) -> str | None:
    """True if a column is probably known only after the label."""
    if kind is Kind.MOMENT and moments_us is not None and times_us is not None:
        later = (moments_us > times_us).mean()
        if isinstance(later, float) and later > _LATER_SHARE:
            return f"it lies after the time of the row in {later:.0%} of rows: known only later?"
    if _AFTER_WORDS.search(name):
        return "by its name it may be known only after the label"
    return None


def _as_numbers(kind: Kind, values: pl.Series, truth: Floats, style: NumberStyle) -> Floats:
    """A number for each row that ranks it; words by the mean label of the other half's rows."""
    if kind in (Kind.NUMBER, Kind.FLAG) and (
        values.dtype.is_numeric() or values.dtype == pl.String
    ):
        numbers, _unreadable = read_number_series(values, style)
        if numbers.null_count() <= 0.5 * len(numbers):
            # a missing value is ranked below all others
            return numbers.fill_nan(None).fill_null(-np.inf).to_numpy().astype(np.float64)
    texts = read_texts(values, is_identifier=True, is_numeric=True).fill_null("")
    words = (texts.rank("dense") - 1).to_numpy().astype(np.int64)
    return word_means(words, truth)
