"""Labels of single days: flipped, or all negative for longer than chance allows.

Only matured days are examined: on a newer day the few labels that are known are complaints.
"""

import numpy as np

from shared.verdicts import Finding

from .context import Blocks
from .days import MIN_ROWS, Floats, Mask, hit_days, middle, on_days

MATURED = 0.8
FLIPPED_SHARE = 0.5
FLIPPED_USUALLY = 0.25
EXPECTED_POSITIVES = 30.0
FEWEST_SHARE = 0.3
"""Positives come in clusters: as many usual days never had less than this share of them."""

SILENT_DAYS = 5


def flipped_days(blocks: Blocks) -> list[Finding]:
    """Matured days on which most labels are positive, where few were."""
    usual, judged, matured = _positive_shares(blocks)
    before = middle(usual)
    with np.errstate(invalid="ignore"):
        hit = matured & (judged > FLIPPED_SHARE) & (before < FLIPPED_USUALLY)
    days = hit_days(blocks.daily.judged, hit)
    if not days:
        return []
    worst = float(judged[hit].max())
    says = f"is positive in up to {worst:.1%} of rows {on_days(days)}, usually in {before:.1%}"
    numbers = {"share": worst, "usual": before, "days": len(days)}
    return [Finding("labels_flipped", "label", says, numbers)]


def vanished_positives(blocks: Blocks) -> list[Finding]:
    """The newest matured days without any positive label, though many are usual."""
    labelled, positives = (blocks.daily.pair(name) for name in ("labelled", "positives"))
    rate = positives[0].sum() / max(1.0, labelled[0].sum())
    _, _, matured = _positive_shares(blocks)
    since = np.flatnonzero(matured & (positives[1] > 0))
    silent = matured & (np.arange(len(matured)) > (since[-1] if len(since) else -1))
    expected = float(rate * labelled[1][silent].sum())
    fewest = _fewest(positives[0], int(silent.sum()))
    is_short = silent.sum() < SILENT_DAYS or expected < EXPECTED_POSITIVES
    if is_short or fewest < FEWEST_SHARE * expected:
        return []
    days = hit_days(blocks.daily.judged, silent)
    says = f"is never positive {on_days(days)}, about {expected:.0f} positives are usual"
    numbers = {"expected": expected, "days": len(days)}
    return [Finding("labels_all_negative", "label", says, numbers)]


def _fewest(daily: Floats, days: int) -> float:
    """The smallest sum of this many days in a row; 0 when there are not as many."""
    sums = np.concatenate(([0.0], daily.cumsum()))
    if not 0 < days < len(sums):
        return 0.0
    return float((sums[days:] - sums[:-days]).min())


def _positive_shares(blocks: Blocks) -> tuple[Floats, Floats, Mask]:
    """Shares of the usual and the judged days, and which judged days have matured."""
    rows, labelled, positives = (
        blocks.daily.pair(name) for name in ("rows", "labelled", "positives")
    )
    usual, judged = (
        np.where(labelled[i] > 0, positives[i] / np.maximum(labelled[i], 1), np.nan)
        for i in range(2)
    )
    known = labelled[1] / rows[1]
    matured = (known >= MATURED * middle(labelled[0] / rows[0])) & (labelled[1] >= MIN_ROWS)
    return usual, judged, matured
