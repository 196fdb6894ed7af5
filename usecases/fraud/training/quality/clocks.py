"""Clocks that went wrong: events in another time zone, or the two instants swapped.

A rhythm that moved by one hour is not a fault: people keep daylight saving time, UTC does not.
"""

import numpy as np
import numpy.typing as npt

from shared.clock import MICROS_PER_HOUR, MICROS_PER_SECOND
from shared.quality.finding import Finding

from .context import Blocks
from .daily import Floats
from .days import DAY
from .hours import HOURS, hourly_counts
from .outliers import hit_days, middle, on_days

EARLY_SHARE = 0.5
EARLY_USUALLY = 0.05
ZONE_US = 600 * MICROS_PER_SECOND
WIDTHS = (1, 5)
"""Days examined as one; few rows a day need several to show their rhythm."""

SHIFTS = (*range(2, 13), *range(-11, -1))
EVIDENCE = 30.0
GAIN_FLOOR = 0.02
FITS_BETTER = 4.0
UNUSUAL = 2.0


def early_events(blocks: Blocks) -> list[Finding]:
    """Days on which rows came in before they happened."""
    usual, early = blocks.daily.pair("early_share")
    if not middle(usual) <= EARLY_USUALLY:
        return []
    usual_lag, lag = blocks.daily.pair("lag_us")
    before = middle(usual_lag)
    swapped = np.abs(lag + before) <= max(60.0 * MICROS_PER_SECOND, before / 4)
    found = []
    for fault, column, hit, why in (
        ("columns_swapped", "event_time/ingested_at", swapped, "the columns changed places"),
        ("time_zone_shift", "event_time", ~swapped & (lag <= -ZONE_US), "another time zone"),
    ):
        days = hit_days(blocks.daily.judged, (early > EARLY_SHARE) & hit)
        if days:
            hours = float(np.median(lag[(early > EARLY_SHARE) & hit])) / MICROS_PER_HOUR
            says = f"is after ingestion, by {-hours:.2f} hours, {on_days(days)}: {why}"
            found.append(Finding(fault, column, says, {"hours": -hours, "days": len(days)}))
    return found


def shifted_rhythm(blocks: Blocks) -> list[Finding]:
    """Days whose hours look like the usual ones, but moved."""
    days = blocks.daily.judged[DAY].to_numpy()
    usual, judged = (
        hourly_counts(rows["event_time"], table[DAY].to_numpy())
        for rows, table in (
            (blocks.usual, blocks.daily.usual),
            (blocks.judged, blocks.daily.judged),
        )
    )
    profile = (usual.sum(axis=0) + 0.5) / (usual.sum() + 0.5 * HOURS)
    for width in WIDTHS:
        if len(usual) < 2 * width or len(judged) < width:
            continue
        here, there = _windows(judged, width), _windows(usual, width)
        shift, gain = _moved(here, profile, float(_distance(there, profile).max()))
        if gain.any():
            at = int(gain.argmax())
            return [_shift_finding(int(shift[at]), days[at : at + width].tolist())]
    return []


def _shift_finding(hours: int, days: list[int]) -> Finding:
    says = f"has the usual rhythm moved by about {hours:+d} hours {on_days(days)}"
    return Finding("time_zone_shift", "event_time", says, {"hours": hours})


def _windows(counts: Floats, width: int) -> Floats:
    sums = np.vstack((np.zeros(HOURS), counts.cumsum(axis=0)))
    windows: Floats = sums[width:] - sums[:-width]
    return windows


def _distance(counts: Floats, profile: Floats) -> Floats:
    """Kullback-Leibler divergence of each row of counts from the profile."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs = np.log(np.where(shares > 0, shares, 1.0) / profile)
    divergence: Floats = (shares * logs).sum(axis=1)
    return divergence


def _moved(
    counts: Floats, profile: Floats, usual_distance: float
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The best shift of each window, and how much better it fits; 0 where it is not clear."""
    still = _distance(counts, profile)
    moved = np.array([_distance(counts, np.roll(profile, hours)) for hours in SHIFTS])
    best = moved.argmin(axis=0)
    least = moved.min(axis=0)
    gain = still - least
    hit = (
        (gain * counts.sum(axis=1) > EVIDENCE)
        & (gain > GAIN_FLOOR)
        & (still > FITS_BETTER * least)
        & (still > UNUSUAL * usual_distance)
    )
    return np.array(SHIFTS)[best], np.where(hit, gain, 0.0)
