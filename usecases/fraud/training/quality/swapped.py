"""Numbers that changed places: each of two columns looks like the other used to."""

from itertools import combinations

import numpy as np

from shared.quality.finding import Finding

from .context import Blocks
from .daily import MEASURES, QUARTILES, Floats
from .outliers import Mask, hit_days, middle, on_days, stands_out

CLOSER = 0.25
"""A swapped column is at least four times closer to the other column than to itself."""


def swapped_numbers(blocks: Blocks) -> list[Finding]:
    """Pairs of columns whose quartiles of a day fit the other column."""
    quartiles = {name: _quartiles(blocks, name) for name in MEASURES}
    found = []
    for one, other in combinations(MEASURES, 2):
        (usual_one, judged_one), (usual_other, judged_other) = quartiles[one], quartiles[other]
        hit = _became(judged_one, usual_one, usual_other)
        hit &= _became(judged_other, usual_other, usual_one)
        days = hit_days(blocks.daily.judged, hit)
        if days:
            says = f"changed places {on_days(days)}"
            numbers = {"days": len(days)}
            found.append(Finding("columns_swapped", f"{one}/{other}", says, numbers))
    return found


def _quartiles(blocks: Blocks, column: str) -> tuple[Floats, Floats]:
    """(days, 3) of the usual and of the judged days."""
    pairs = [blocks.daily.pair(f"{column}.q{share:g}") for share in QUARTILES]
    return (
        np.column_stack([usual for usual, _ in pairs]),
        np.column_stack([judged for _, judged in pairs]),
    )


def _became(judged: Floats, own: Floats, others: Floats) -> Mask:
    """Days that are far from what the column was, and close to what the other column was."""
    own_centre, other_centre = _centre(own), _centre(others)
    away = np.abs(judged - own_centre).max(axis=1)
    usually_away = np.abs(own - own_centre).max(axis=1)
    near = np.abs(judged - other_centre).max(axis=1)
    width = float(own_centre[-1] - own_centre[0])
    with np.errstate(invalid="ignore"):
        closer: Mask = near < CLOSER * away
    return stands_out(away, usually_away, width / 2) & closer


def _centre(days: Floats) -> Floats:
    return np.array([middle(column) for column in days.T])
