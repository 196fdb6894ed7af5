"""The false alarm rate and the power of the drift check: `make bench-drift`.

Thirty features with autocorrelated rows (AR(1) along time) and days that stray, a baseline
of sixty days, a current window of seven. One check examines all thirty features.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from benchmarks.report import Bar, finish
from scheduler.drift.bins import ColumnKind
from scheduler.drift.check import DriftLimits, check_drift
from scheduler.drift.column_baseline import ColumnBaselines, Rows, fit_columns

FEATURES = 30
BASELINE_DAYS, CURRENT_DAYS = 60, 7
ROWS = 2_000
MANY_ROWS = 100_000
KINDS = {f"feature_{number}": ColumnKind.NUMBER for number in range(FEATURES)}
LIMITS = DriftLimits()

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """The dependence of rows: on the row before, and on the day."""

    autocorrelation: float = 0.3
    day_sigma: float = 0.05


USUAL, STICKY = World(), World(autocorrelation=0.5, day_sigma=0.1)


def draw(
    rng: np.random.Generator, rows: int, days: int, shift: float = 0.0, world: World = USUAL
) -> Rows:
    """Standard normal columns in order of time; the first one is shifted, in sigmas."""
    day_codes = np.sort(np.arange(rows) % days)
    innovations = rng.standard_normal((FEATURES, rows + 50))
    rho = world.autocorrelation
    walked = lfilter([np.sqrt(1.0 - rho**2)], [1.0, -rho], innovations)[:, 50:]
    of_day = rng.normal(0.0, world.day_sigma, (FEATURES, days))[:, day_codes]
    values = np.sqrt(1.0 - world.day_sigma**2) * walked + of_day
    values[0] += shift
    return Rows(dict(zip(KINDS, values, strict=True)), day_codes)


def baseline(rng: np.random.Generator, rows_a_day: int, world: World = USUAL) -> ColumnBaselines:
    return fit_columns([draw(rng, rows_a_day * BASELINE_DAYS, BASELINE_DAYS, world=world)], KINDS)


def alarms(
    seed: int, checks: int, rows: int, shift: float, world: World = USUAL
) -> tuple[float, float]:
    """Share of checks with any alarm, and with one on the shifted feature; fresh baselines."""
    rng = np.random.default_rng(seed)
    anywhere = on_shifted = 0
    for _ in range(checks):
        known = baseline(rng, min(rows, ROWS) // CURRENT_DAYS, world)
        current = draw(rng, rows, CURRENT_DAYS, shift, world)
        found = {column.name for column in check_drift(known, [current], LIMITS).alarms}
        anywhere += bool(found)
        on_shifted += "feature_0" in found
    return anywhere / checks, on_shifted / checks


def seconds_for_a_million_rows() -> float:
    rng = np.random.default_rng(5)
    known = baseline(rng, 500)
    current = draw(rng, 1_000_000, CURRENT_DAYS)
    started = time.perf_counter()
    check_drift(known, [current], LIMITS)
    return time.perf_counter() - started


BARS: dict[str, Bar] = {
    "no_drift_checks_with_alarm": ("<=", 0.01),
    "shift_025_sigma_found": (">=", 0.95),
    "shift_002_sigma_100000_rows_alarm": ("<=", 0.01),
    "million_rows_seconds": ("<=", 2.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=1_000)
    checks = parser.parse_args().checks
    quiet, _ = alarms(1, checks, ROWS, 0.0)
    sys.stderr.write(f"no drift: {quiet}\n")
    _, found = alarms(2, checks // 2, ROWS, 0.25)
    sys.stderr.write(f"shift of .25 sigma: {found}\n")
    tiny, _ = alarms(3, checks // 4, MANY_ROWS, 0.02)
    figures = {
        "no_drift_checks_with_alarm": quiet,
        "shift_025_sigma_found": found,
        "shift_002_sigma_100000_rows_alarm": tiny,
        "million_rows_seconds": seconds_for_a_million_rows(),
        "checks": float(checks),
        "features": float(FEATURES),
        "sticky_no_drift_checks_with_alarm": alarms(4, checks // 4, ROWS, 0.0, STICKY)[0],
        "sticky_shift_025_sigma_found": alarms(6, checks // 4, ROWS, 0.25, STICKY)[1],
    }
    finish("drift", figures, BARS)


if __name__ == "__main__":
    main()
