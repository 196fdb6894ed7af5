"""What every metric of a comparison takes and gives."""

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.statistics.intervals import Spread
from scheduler.statistics.sample import PairedSample


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure: the bootstrap's size and seed, and the alert budget.

    Attributes:
        daily_alerts: how many rows a day people can look at.
        cost_per_alert: what one look costs, in the unit of the amounts.
    """

    resamples: int = 2_000
    seed: int = 0
    daily_alerts: int = 100
    cost_per_alert: float = 0.0


@dataclass(frozen=True, slots=True)
class PairedEstimate:
    """Both models' values, larger is better, and how uncertain their difference is.

    Attributes:
        spread_at: how uncertain candidate - w * champion is; None: as for w = 1.
    """

    champion: float
    candidate: float
    spread: Spread
    spread_at: Callable[[float], Spread] | None = None


Measure = Callable[[PairedSample, Plan], PairedEstimate]
