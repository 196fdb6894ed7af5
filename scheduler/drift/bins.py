"""Columns as counts by day: enough to compare distributions, small enough to store.

A number falls between quantiles of the baseline; a category has its own bin, or "other" when it is
rare or absent in the baseline. Missing values have their own bin, so a burst of nulls is drift.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]
NUMBER_BINS = 100
RAREST_CATEGORY = 0.001
"""Categories with a smaller share of the baseline are "other": they come and go by chance."""


class ColumnKind(StrEnum):
    """The kind of a column's values; a label is a category, a score is a number."""

    NUMBER = "number"
    CATEGORY = "category"
    SCORE = "score"
    LABEL = "label"

    @property
    def ordered(self) -> bool:
        return self in {ColumnKind.NUMBER, ColumnKind.SCORE}


@dataclass(frozen=True, slots=True)
class Bins:
    """The binning of one column.

    Attributes:
        edges: upper bounds of the bins of a number; the last bin is open.
        categories: known values as text, in order; one more bin for any other.
    """

    kind: ColumnKind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bins for values, and one more for what is missing."""
        return (len(self.edges) if self.kind.ordered else len(self.categories)) + 2

    def codes(self, values: Values) -> Counts:
        """The bin of every value; the last one is for missing values."""
        if self.kind.ordered:
            return self._number_codes(np.asarray(values, dtype=np.float64))
        return self._category_codes(values)

    def _number_codes(self, numbers: npt.NDArray[np.float64]) -> Counts:
        codes = np.searchsorted(np.asarray(self.edges), numbers, side="left")
        codes[np.isnan(numbers)] = self.size - 1
        return codes

    def _category_codes(self, values: Values) -> Counts:
        names, inverse = _names(values)
        places = {name: place for place, name in enumerate(self.categories)}
        other, missing = self.size - 2, self.size - 1
        table = [missing if name is None else places.get(name, other) for name in names]
        return np.asarray(table, dtype=np.int64)[inverse]


def fit_bins(kind: ColumnKind, values: Values) -> Bins:
    """Bins that the baseline fills evenly (numbers) or that it contains (categories)."""
    if not kind.ordered:
        return Bins(kind, categories=_common(values))
    numbers = np.asarray(values, dtype=np.float64)
    present = numbers[np.isfinite(numbers)]
    if not len(present):
        return Bins(kind)
    shares = np.arange(1, NUMBER_BINS) / NUMBER_BINS
    edges = np.unique(np.quantile(present, shares, method="inverted_cdf"))
    return Bins(kind, edges=tuple(float(edge) for edge in edges))


def count_by_day(bins: Bins, values: Values, day_codes: Counts, days: int) -> Counts:
    """Rows by day and bin, shape (days, bins)."""
    flat = day_codes * bins.size + bins.codes(values)
    return np.bincount(flat, minlength=days * bins.size).reshape(days, bins.size)


def kind_of(values: Values) -> ColumnKind:
    """A number that has two values at most is a flag, and flags are categories."""
    present = values[np.isfinite(values)]
    if not len(present):
        return ColumnKind.CATEGORY
    low, high = present.min(), present.max()
    return (
        ColumnKind.CATEGORY if np.all((present == low) | (present == high)) else ColumnKind.NUMBER
    )


def _common(values: Values) -> tuple[str, ...]:
    names, codes = _names(values)
    shares = np.bincount(codes, minlength=len(names)) / max(len(codes), 1)
    return tuple(
        sorted(
            name
            for name, share in zip(names, shares, strict=True)
            if name is not None and share >= RAREST_CATEGORY
        )
    )


def _names(values: Values) -> tuple[list[str | None], Counts]:
    """The distinct values as text, None for missing, and which of them each row has."""
    if values.dtype == object:
        names: dict[str | None, int] = {}
        texts = (None if _is_missing(value) else str(value) for value in values)
        codes = [names.setdefault(text, len(names)) for text in texts]
        return list(names), np.asarray(codes, dtype=np.int64)
    distinct, inverse = np.unique(values, return_inverse=True)
    return [None if _is_missing(v) else str(v) for v in distinct], inverse.reshape(-1)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))
