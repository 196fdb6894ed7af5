"""Slices of held-out rows, as declared: one for each word, or between quantiles of a number."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.rows.declaration import Declaration
from shared.rows.quantities import SliceRule

MOST_WORDS = 12
MIN_ROWS = 50
MIN_OF_A_CLASS = 10

Mask = npt.NDArray[np.bool_]


def slices_of(held_out: pl.DataFrame, declared: Declaration) -> Mapping[str, Mask]:
    """Name -> rows; parts with too little to compare are omitted."""
    found: dict[str, Mask] = {}
    for rule in declared.judge.slices:
        found |= _bands(held_out, rule) if rule.parts else _words(held_out, rule.column)
    is_classified = declared.row_schema.task.is_classification
    labels = held_out["label"].to_numpy()
    return {name: mask for name, mask in found.items() if _can_be_compared(
        labels[mask], len(mask), is_classified=is_classified)}  # fmt: skip


def _can_be_compared(labels: npt.NDArray[np.generic], rows: int, *, is_classified: bool) -> bool:
    # a part that is everything is compared anyway
    if len(labels) < MIN_ROWS or len(labels) == rows:
        return False
    if not is_classified:
        return True
    counts = np.unique(labels, return_counts=True)[1]
    return len(counts) > 1 and int(counts.min()) >= MIN_OF_A_CLASS


def _words(rows: pl.DataFrame, column: str) -> dict[str, Mask]:
    texts = rows[column].cast(pl.String)
    frequent = texts.drop_nulls().value_counts(sort=True).head(MOST_WORDS)[column].to_list()
    return {
        f"{column} = {word}": (texts == word).fill_null(value=False).to_numpy() for word in frequent
    }


def _bands(rows: pl.DataFrame, rule: SliceRule) -> dict[str, Mask]:
    values = rows[rule.column].cast(pl.Float64).to_numpy()
    known = values[~np.isnan(values)]
    if not len(known):
        return {}
    shares = np.linspace(0, 1, (rule.parts or 1) + 1)[1:-1]
    edges = [-np.inf, *np.unique(np.quantile(known, shares)).tolist(), np.inf]
    return {
        _band_name(rule.column, low, high): (values > low) & (values <= high)
        for low, high in pairwise(edges)
    }


def _band_name(column: str, low: float, high: float) -> str:
    if np.isinf(low):
        return f"{column} up to {high:g}"
    return f"{column} over {low:g}" if np.isinf(high) else f"{column} {low:g} to {high:g}"
