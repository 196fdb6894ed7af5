"""Amounts in another unit, and amounts that lost their cents."""

import numpy as np

from shared.quality.finding import Finding

from .context import Blocks
from .daily import QUARTILES, TEN_CENTS, WHOLE, Floats
from .outliers import hit_days, middle, on_days, stands_out

UNIT_FLOOR = 0.9
"""The smallest change of unit, in powers of ten: quartiles eight times as large are not inflation.
"""

ROUNDED = 0.95
ROUNDED_FLOOR = 0.4


def changed_unit(blocks: Blocks) -> list[Finding]:
    """Days on which every quartile of the amount moved by about the same power of ten."""
    moves, outstanding = [], []
    for share in QUARTILES:
        usual, judged = (_log10(values) for values in blocks.daily.pair(f"amount.q{share:g}"))
        moves.append(judged - middle(usual))
        outstanding.append(stands_out(judged, usual, UNIT_FLOOR))
    move = np.median(moves, axis=0)
    one_way = np.abs(np.sign(moves).sum(axis=0)) == len(QUARTILES)
    hit = np.all(outstanding, axis=0) & one_way
    if not hit.any():
        return []
    factor = float(10 ** np.median(move[hit]))
    days = hit_days(blocks.daily.judged, hit)
    says = f"is {factor:.3g} times the usual {on_days(days)}: another unit"
    return [Finding("amount_unit", "amount", says, {"factor": factor, "days": len(days)})]


def rounded_amounts(blocks: Blocks) -> list[Finding]:
    """Days on which nearly all amounts are whole, though they were not."""
    for statistic, unit in ((WHOLE, "whole"), (TEN_CENTS, "whole tenths")):
        usual, judged = blocks.daily.pair(statistic)
        hit = stands_out(judged, usual, ROUNDED_FLOOR) & (judged >= ROUNDED)
        if hit.any():
            worst, before = float(judged[hit].max()), middle(usual)
            days = hit_days(blocks.daily.judged, hit)
            says = f"is {unit} in {worst:.0%} of rows {on_days(days)}, usually in {before:.0%}"
            numbers = {"share": worst, "usual": before, "days": len(days)}
            return [Finding("amounts_rounded", "amount", says, numbers)]
    return []


def _log10(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(values)
    return np.where(np.isfinite(logs), logs, np.nan)
