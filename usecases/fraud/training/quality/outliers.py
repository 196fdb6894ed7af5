"""The test for a day that stands out: it has to be both far from the usual days and rare."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from .daily import Floats
from .days import DAY, day_text

Mask = npt.NDArray[np.bool_]

SPREADS = 8.0
"""The threshold in robust standard deviations; 3 would be a normal day where days are correlated.
"""

_MAD_TO_SIGMA = 1.4826


def stands_out(judged: Floats, usual: Floats, floor: float) -> Mask:
    """Farther from the usual median than the floor and than the days' own spread allows."""
    known = usual[~np.isnan(usual)]
    if not len(known):
        return np.zeros(len(judged), dtype=np.bool_)
    centre = np.median(known)
    spread = _MAD_TO_SIGMA * np.median(np.abs(known - centre))
    with np.errstate(invalid="ignore"):
        far: Mask = np.abs(judged - centre) > max(floor, SPREADS * float(spread))
    return far


def middle(values: Floats) -> float:
    """The median of what is known, NaN when nothing is."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan


def hit_days(judged: pl.DataFrame, hit: Mask) -> list[int]:
    """Day numbers of the rows of a daily table that were hit."""
    days: list[int] = judged[DAY].filter(pl.Series(hit)).to_list()
    return days


def on_days(days: Sequence[int]) -> str:
    """`on 2026-01-03` or `on 4 days from 2026-01-03 to 2026-01-06`."""
    first, last = min(days), max(days)
    if first == last:
        return f"on {day_text(first)}"
    return f"on {len(days)} days from {day_text(first)} to {day_text(last)}"
