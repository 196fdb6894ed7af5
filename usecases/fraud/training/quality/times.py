"""Instants and hours that are wrong: clocks, duplicated days and truncated ones.

A rhythm that moved by one hour is not a fault: people keep daylight saving time, UTC does not.
A hole that begins or ends at midnight, with normal traffic beyond it, is a file that was cut;
any other hole is an outage, which is reported but does not invalidate the other rows.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND
from shared.tables.data_changes import IMPORT_SENDER
from shared.verdicts import Finding, Severity

from .context import Blocks
from .days import (
    DAY,
    HOURS,
    MIN_ROWS,
    Floats,
    day_of,
    day_text,
    hit_days,
    hourly_counts,
    middle,
    on_days,
)

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

REPEATED_FLOOR = 0.2
REPEATED_ANYWHERE = 0.001
LOST_ROWS = 30.0
LOST_SHARE = 0.2
NEAR_MIDNIGHT_ROWS = 5.0
BEYOND_HOURS = 6
BEYOND_SHARE = 0.3
DAYS_OF_A_WEEKDAY = 3


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


def duplicated_days(blocks: Blocks) -> list[Finding]:
    """Days whose rows repeat user, merchant, amount and time of day of other rows."""
    rows = blocks.both
    key = rows.select(_key()).to_series()
    if key.n_unique() > key.len() * (1 - REPEATED_ANYWHERE):
        return []
    repeated = rows.select(day_of).with_columns(again=key.is_duplicated())
    daily = repeated.group_by(DAY).agg(pl.len(), pl.col("again").sum()).sort(DAY)
    share = pl.col("again") / pl.col("len")
    usual = daily.select(share.median()).item()
    hit = daily.filter((share > usual + REPEATED_FLOOR) & (pl.col("again") >= MIN_ROWS))
    if hit.is_empty():
        return []
    days, again = hit[DAY].to_list(), int(hit["again"].sum())
    says = f"repeats {again} transactions under other ids {on_days(days)}"
    numbers = {"rows": again, "share": again / int(hit["len"].sum()), "days": len(days)}
    return [Finding("duplicated_day", "event_time", says, numbers)]


def _key() -> pl.Expr:
    time_of_day = pl.col("event_time") % MICROS_PER_DAY
    return (
        pl.col("user_id").hash(1)
        ^ pl.col("merchant_id").hash(2)
        ^ pl.col("amount").hash(3)
        ^ time_of_day.hash(4)
    ).alias("key")


@dataclass(frozen=True, slots=True)
class Timeline:
    """Hours in a row, from the first usual day to the day that is not over yet."""

    first_day: int
    counts: Floats
    expected: Floats


def truncated_days(blocks: Blocks) -> list[Finding]:
    """Holes in the judged days in which many rows are missing."""
    line = _timeline(blocks)
    found = []
    for begin, end in _holes(line.counts):
        lost = float(line.expected[begin:end].sum())
        at = (begin + end) // 2 // HOURS
        is_open = end == len(line.counts)
        if is_open or not blocks.calendar.judged.holds(line.first_day + at):
            continue
        of_day = line.expected[at * HOURS : (at + 1) * HOURS].sum()
        if lost >= max(LOST_ROWS, LOST_SHARE * float(of_day)):
            hole = _hole(line, begin, end, lost)
            is_handover = _is_handover(blocks, line, begin, end)
            found.append(_as_handover(hole) if is_handover else hole)
    return found


def _as_handover(hole: Finding) -> Finding:
    """An export ends before live traffic begins: nothing of either is missing."""
    says = f"{hole.detail}, between imported rows and scored ones"
    return replace(hole, fault="handover", detail=says, severity=Severity.NOTICE)


def _is_handover(blocks: Blocks, line: Timeline, begin: int, end: int) -> bool:
    """True if the rows before a gap were imported, and those after it arrived live."""
    if "sent_by" not in blocks.both.columns:
        return False
    imported = pl.col("sent_by").is_null() | pl.col("sent_by").str.starts_with(IMPORT_SENDER)
    rows = blocks.both.lazy()
    hour = pl.col("event_time") // MICROS_PER_HOUR - line.first_day * HOURS
    before = rows.filter(hour.is_between(begin - HOURS, begin, closed="left")).select(imported)
    behind = rows.filter(hour.is_between(end, end + HOURS, closed="left")).select(~imported)
    sides = (before.collect().to_series(), behind.collect().to_series())
    return all(len(side) > 0 and bool(side.all()) for side in sides)


def _hole(line: Timeline, begin: int, end: int, lost: float) -> Finding:
    cut_at_end = _near_midnight(line, end) and _is_normal(line, end, end + BEYOND_HOURS)
    cut_at_begin = _near_midnight(line, begin) and _is_normal(line, begin - BEYOND_HOURS, begin)
    is_cut = cut_at_end or cut_at_begin
    # a gap that extends into a quiet night is attributed to the day that it empties
    day = day_text(line.first_day + (begin + end) // 2 // HOURS)
    span = (
        f"of {end - begin} hours, {_hour_text(line, begin)} to {_hour_text(line, end)}, "
        f"in which about {lost:.0f} rows are usual"
    )
    fault, says = (
        ("truncated_day", f"breaks off on {day}: a hole {span}")
        if is_cut
        else ("outage", f"has a hole {span}")
    )
    severity = Severity.FAULT if is_cut else Severity.NOTICE
    return Finding(
        fault, "event_time", says, {"lost_rows": round(lost), "hours": end - begin}, severity
    )


def _hour_text(line: Timeline, hour: int) -> str:
    return f"{day_text(line.first_day + hour // HOURS)} {hour % HOURS:02}:00"


def _timeline(blocks: Blocks) -> Timeline:
    whole = blocks.calendar.whole
    counts = blocks.hours
    past, usual = counts[:-1], counts[: blocks.calendar.usual.length]
    profile = usual.sum(axis=0) / max(usual.sum(), 1.0)
    weekday = np.arange(len(counts)) % 7
    volume, have_rows = past.sum(axis=1), past.sum(axis=1) > 0
    level = np.full(7, np.median(volume[have_rows]))
    for each in range(7):
        same = volume[(weekday[:-1] == each) & have_rows]
        if len(same) >= DAYS_OF_A_WEEKDAY:
            level[each] = np.median(same)
    expected = level[weekday][:, None] * profile
    return Timeline(whole.first, counts.ravel(), expected.ravel())


def _holes(counts: Floats) -> list[tuple[int, int]]:
    """Half-open runs of hours without a row."""
    empty = np.concatenate(([0], (counts == 0).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(empty))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _near_midnight(line: Timeline, hour: int) -> bool:
    """True if almost nothing happens between this hour and the nearest midnight."""
    before = hour // HOURS * HOURS
    after = before if hour == before else before + HOURS
    between = min(line.expected[before:hour].sum(), line.expected[hour:after].sum())
    return bool(between <= NEAR_MIDNIGHT_ROWS)


def _is_normal(line: Timeline, begin: int, end: int) -> bool:
    begin, end = max(0, begin), min(end, len(line.counts))
    seen, expected = line.counts[begin:end].sum(), line.expected[begin:end].sum()
    return bool(seen > 0 and seen >= BEYOND_SHARE * expected)
