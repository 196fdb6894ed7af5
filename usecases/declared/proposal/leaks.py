"""Columns that know the label too well, and columns that are probably known only after it."""

import re

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import rankdata

from shared.importing.texts import read_texts
from shared.rows.schema import Kind
from shared.tasks import TaskKind

TOO_GOOD = 0.98
_FEWEST = 50
_NULLS_TOO_GOOD = 0.9
_LATER_SHARE = 0.01
_AFTER_WORDS = re.compile(
    r"(cancel|churn|closed|closing|refund|chargeback|outcome|result|resolved|resolution|"
    r"terminat|exit|settle|paid_off|collection|recover|final|after|reason_for|post_)",
    re.IGNORECASE,
)

Floats = npt.NDArray[np.float64]


def copies_label(column: pl.Series, labels: pl.Series) -> bool:
    """Whether each value stands for one label, and each label for one value."""
    table = pl.DataFrame({"value": read_texts(column, is_identifier=True, is_numeric=True),
                          "label": labels}).drop_nulls()  # fmt: skip
    if table.height < 2 or table["label"].n_unique() < 2:
        return False
    pairs = table.unique()
    return pairs.height == pairs["value"].n_unique() == pairs["label"].n_unique()


def leak_warning(kind: Kind, column: pl.Series, labels: pl.Series, task: TaskKind) -> str | None:
    """How well a column alone ranks the label, where that is too good to be true."""
    known = labels.is_not_null()
    truth = labels.filter(known).to_numpy().astype(np.float64)
    values = column.filter(known)
    if len(truth) < _FEWEST or len(np.unique(truth)) < 2:
        return None
    power = _power(_as_numbers(kind, values, truth), truth, task)
    if power > TOO_GOOD:
        return f"it alone ranks the label {power:.3f} of 1: is it known before the label is?"
    missing = values.is_null().to_numpy().astype(np.float64)
    if 0 < missing.mean() < 1 and _power(missing, truth, task) > _NULLS_TOO_GOOD:
        return "whether it has a value nearly says the label: is it filled in afterwards?"
    return None


def known_late_warning(
    name: str, kind: Kind, moments_us: pl.Series | None, times_us: pl.Series | None
) -> str | None:
    """Whether a column is probably known only after the label."""
    if kind is Kind.MOMENT and moments_us is not None and times_us is not None:
        later = (moments_us > times_us).mean()
        if isinstance(later, float) and later > _LATER_SHARE:
            return f"it lies after the time of the row in {later:.0%} of rows: known only later?"
    if _AFTER_WORDS.search(name):
        return "by its name it may be known only after the label"
    return None


def _as_numbers(kind: Kind, values: pl.Series, truth: Floats) -> Floats:
    """A number for each row that ranks it; words by the mean label of the other half's rows."""
    if kind in (Kind.NUMBER, Kind.FLAG) and (values.dtype.is_numeric() or _are_texts(values)):
        text = values.str.strip_chars() if values.dtype == pl.String else values
        numbers = text.cast(pl.Float64, strict=False)
        if numbers.null_count() <= 0.5 * len(numbers):
            # a missing value is ranked below all others
            return numbers.fill_nan(None).fill_null(-np.inf).to_numpy().astype(np.float64)
    texts = read_texts(values, is_identifier=True, is_numeric=True).fill_null("")
    table = pl.DataFrame({"word": texts, "truth": truth}).with_row_index("at")
    means = table.group_by("word", half=pl.col("at") % 2).agg(mean=pl.col("truth").mean())
    swapped = means.with_columns(half=1 - pl.col("half"))
    ranked = table.with_columns(half=pl.col("at") % 2).join(
        swapped.with_columns(pl.col("half").cast(pl.UInt32)),
        on=["word", "half"],
        how="left",
        maintain_order="left",
    )
    return ranked["mean"].fill_null(truth.mean()).to_numpy()


def _are_texts(values: pl.Series) -> bool:
    return values.dtype == pl.String


def _power(values: Floats, truth: Floats, task: TaskKind) -> float:
    """1: the column alone tells the label; 0.5 (0 for a regression): it tells nothing."""
    if task is TaskKind.REGRESSION:
        return _correlation(values, truth)
    if task is TaskKind.BINARY:
        return _auc(values, truth == truth.max())
    # a class that is far away from the others is none; a column that tells all of them is
    return min(_auc(values, truth == one) for one in np.unique(truth))


def _auc(values: Floats, positive: npt.NDArray[np.bool_]) -> float:
    ranks = rankdata(values)
    high = int(positive.sum())
    low = len(positive) - high
    area = (ranks[positive].sum() - high * (high + 1) / 2) / (high * low)
    return float(max(area, 1.0 - area))


def _correlation(values: Floats, truth: Floats) -> float:
    one, other = rankdata(values), rankdata(truth)
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(abs(np.corrcoef(one, other)[0, 1]))
