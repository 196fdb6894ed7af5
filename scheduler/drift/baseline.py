"""What the champion was trained on, as counts by day: the yardstick and its own calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scheduler.drift.bins import Bins, Kind, Values, count_by_day, fit_bins
from scheduler.drift.calibration import design_effect


@dataclass(frozen=True, slots=True)
class BaselineColumn:
    """One column of the baseline; `design` is its design effect."""

    bins: Bins
    counts: tuple[int, ...]
    design: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """All columns, and how many rows a day they came from."""

    columns: Mapping[str, BaselineColumn]
    rows: int
    days: int

    @property
    def rows_a_day(self) -> float:
        return self.rows / max(self.days, 1)


def fit_baseline(
    columns: Mapping[str, Values], kinds: Mapping[str, Kind], days: Values
) -> Baseline:
    """Count every column by day, and learn how far its own days stray."""
    which, inverse = np.unique(days, return_inverse=True)
    day_codes = inverse.reshape(-1).astype(np.int64)
    fitted = {}
    for name, kind in kinds.items():
        bins = fit_bins(kind, columns[name])
        by_day = count_by_day(bins, columns[name], day_codes, len(which))
        total = tuple(int(count) for count in by_day.sum(axis=0))
        fitted[name] = BaselineColumn(bins, total, design_effect(by_day, kind.ordered))
    return Baseline(fitted, rows=len(days), days=len(which))


def to_json(baseline: Baseline) -> dict[str, Any]:
    """For `baseline.json` of a bundle; `from_json(to_json(b)) == b`."""
    columns = {
        name: {
            "kind": str(column.bins.kind),
            "edges": list(column.bins.edges),
            "categories": list(column.bins.categories),
            "counts": list(column.counts),
            "design_effect": column.design,
        }
        for name, column in baseline.columns.items()
    }
    return {"rows": baseline.rows, "days": baseline.days, "columns": columns}


def from_json(stored: Mapping[str, Any]) -> Baseline:
    """The baseline as it was stored.

    Raises:
        KeyError: something is missing.
        ValueError: an unknown kind, or counts that do not fit their bins.
    """
    columns = {}
    for name, item in stored["columns"].items():
        bins = Bins(Kind(item["kind"]), tuple(item["edges"]), tuple(item["categories"]))
        if len(item["counts"]) != bins.size:
            raise ValueError(f"baseline of {name}: {len(item['counts'])} counts, {bins.size} bins")
        columns[name] = BaselineColumn(bins, tuple(item["counts"]), float(item["design_effect"]))
    return Baseline(columns, rows=int(stored["rows"]), days=int(stored["days"]))
