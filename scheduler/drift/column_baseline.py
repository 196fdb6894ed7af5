"""Counts by day of each column in the champion's training rows, and their natural variation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scheduler.drift.bins import Bins, ColumnKind, Values, count_by_day, fit_bins
from scheduler.drift.distance import design_effect, usual_effect

MAX_ROWS = 200_000
"""The most rows examined, evenly spaced: more would only find differences far below the floors."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of the same rows, in the order of time, and the day of every row."""

    columns: Mapping[str, Values]
    days: Values

    def thinned(self, most: int) -> "Rows":
        """A sample of at most this many rows, evenly spaced."""
        step = -(-len(self.days) // most)
        if step <= 1:
            return self
        columns = {name: values[::step] for name, values in self.columns.items()}
        return Rows(columns, self.days[::step])


@dataclass(frozen=True, slots=True)
class ColumnBaseline:
    """One column of the baseline.

    Attributes:
        days: how many days the rows are from.
        design: its design effect.
        usual: how far a week of the baseline lies from all of it, at most and beyond chance.
    """

    bins: Bins
    counts: tuple[int, ...]
    days: int
    design: float
    usual: float

    @property
    def rows(self) -> int:
        return sum(self.counts)

    @property
    def rows_a_day(self) -> float:
        return self.rows / max(self.days, 1)


ColumnBaselines = Mapping[str, ColumnBaseline]
"""All columns, by name."""


def fit_columns(groups: Sequence[Rows], kinds: Mapping[str, ColumnKind]) -> ColumnBaselines:
    """Count every column by day, and estimate how much its days and weeks vary.

    Groups hold different rows: features are of the training rows, the score is of held-out rows.
    """
    fitted: dict[str, ColumnBaseline] = {}
    for group in groups:
        rows = group.thinned(MAX_ROWS)
        which, inverse = np.unique(rows.days, return_inverse=True)
        day_codes = inverse.reshape(-1).astype(np.int64)
        for name, values in rows.columns.items():
            fitted[name] = _fitted(kinds[name], values, day_codes, len(which))
    return fitted


def _fitted(kind: ColumnKind, values: Values, day_codes: Values, days: int) -> ColumnBaseline:
    bins = fit_bins(kind, values)
    by_day = count_by_day(bins, values, day_codes, days)
    return ColumnBaseline(
        bins=bins,
        counts=tuple(int(count) for count in by_day.sum(axis=0)),
        days=days,
        design=design_effect(by_day, kind.ordered),
        usual=usual_effect(by_day, kind.ordered),
    )


def to_json(columns: ColumnBaselines) -> dict[str, Any]:
    """The JSON for `baseline.json` of a bundle; `from_json(to_json(c)) == c`."""
    return {
        name: {
            "kind": str(column.bins.kind),
            "edges": list(column.bins.edges),
            "categories": list(column.bins.categories),
            "counts": list(column.counts),
            "days": column.days,
            "design_effect": column.design,
            "usual_effect": column.usual,
        }
        for name, column in columns.items()
    }


def from_json(stored: Mapping[str, Any]) -> ColumnBaselines:
    """The columns as they were stored.

    Raises:
        KeyError: something is missing.
        ValueError: an unknown kind, or counts that do not fit their bins.
    """
    columns: dict[str, ColumnBaseline] = {}
    for name, item in stored.items():
        bins = Bins(ColumnKind(item["kind"]), tuple(item["edges"]), tuple(item["categories"]))
        if len(item["counts"]) != bins.size:
            raise ValueError(f"baseline of {name}: {len(item['counts'])} counts, {bins.size} bins")
        columns[name] = ColumnBaseline(
            bins=bins,
            counts=tuple(item["counts"]),
            days=int(item["days"]),
            design=float(item["design_effect"]),
            usual=float(item["usual_effect"]),
        )
    return columns
