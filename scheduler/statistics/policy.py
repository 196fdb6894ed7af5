"""The limits of one comparison: the policy for this kind of candidate, and its share of the error.

Alpha spending divides the year's error over its rounds, so that weekly attempts fit in it. By
Bonferroni the chance of a false promotion in any of the rounds is at most the sum of their
errors, however the rounds depend on each other (the same champion, windows that overlap). Nine
tenths are spread evenly over the planned rounds; the last tenth is kept for unplanned ones (drift,
a person), each taking the same share of the remainder, so that it never runs out and the sum never
exceeds the year's error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.operating_point import FIGURES
from shared.tasks import Margin
from shared.tasks.metrics import checked_metric
from shared.usecase.policy import PromotionKind, PromotionPolicy

__all__ = ["JudgePolicy", "PromotionKind", "from_promotion"]


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    """The limits that `judge` applies to a candidate; `PromotionPolicy` describes each number."""

    kind: PromotionKind
    primary_metric: str = "auc"
    margin: float | str = 0.01
    yearly_alpha: float = 0.05
    rounds_per_year: int = 52
    min_positives: int = 100
    champion_max_age_days: float = 28.0
    guard_metrics: Mapping[str, float | str] = field(default_factory=dict)
    operating_guards: Mapping[str, float] = field(default_factory=dict)
    slice_tolerance: float | str = 0.01
    guard_alpha: float = 0.05
    resamples: int = 2_000
    daily_alerts: int = 100
    cost_per_alert: float = 0.0
    seed: int = 0
    first_model_beats_constant: bool = False

    def __post_init__(self) -> None:
        for metric in (self.primary_metric, *self.guard_metrics):
            checked_metric(metric)
        if not 0.0 < self.yearly_alpha <= 0.5 or not 0.0 < self.guard_alpha <= 0.5:
            raise ValueError("yearly_alpha and guard_alpha must be in (0, 0.5]")
        if min(self.rounds_per_year, self.min_positives, self.daily_alerts) < 1:
            raise ValueError("rounds_per_year, min_positives and daily_alerts must be 1 or more")
        unknown = set(self.operating_guards) - set(FIGURES)
        if unknown:
            raise ValueError(f"unknown figure {', '.join(sorted(unknown))}; known: {FIGURES}")
        for tolerance in (self.margin, self.slice_tolerance, *self.guard_metrics.values()):
            Margin.parse(tolerance)
        if not min(*self.operating_guards.values(), 1.0, 1.0) >= 0.0:
            raise ValueError("tolerances must not be negative")
        if self.resamples < 100:
            raise ValueError("fewer than 100 resamples are too few")

    @property
    def plan(self) -> MeasurementPlan:
        """The measurement settings of this policy."""
        return MeasurementPlan(self.resamples, self.seed, self.daily_alerts, self.cost_per_alert)


def from_promotion(declared: PromotionPolicy, kind: PromotionKind, seed: int) -> JudgePolicy:
    """The policy of the use case's file, for a candidate of this kind."""
    return JudgePolicy(
        kind=kind,
        primary_metric=declared.primary_metric,
        margin=declared.margin,
        yearly_alpha=declared.yearly_alpha,
        rounds_per_year=declared.rounds_per_year,
        min_positives=declared.min_positives,
        champion_max_age_days=declared.champion_max_age_days,
        guard_metrics={str(name): lost for name, lost in declared.guard_metrics.items()},
        operating_guards={str(name): lost for name, lost in declared.operating_guards.items()},
        slice_tolerance=declared.slice_tolerance,
        guard_alpha=declared.guard_alpha,
        resamples=declared.resamples,
        daily_alerts=declared.daily_alerts,
        cost_per_alert=declared.cost_per_alert,
        seed=seed,
        first_model_beats_constant=declared.first_model_beats_constant,
    )


_PLANNED_SHARE = 0.9


def round_alpha(yearly_alpha: float, planned_rounds: int, round_number: int) -> float:
    """The error this round may have; `round_number` counts the year's comparisons from 1.

    Raises:
        ValueError: no planned rounds, a round below 1, or an error outside (0, 1).
    """
    if planned_rounds < 1 or round_number < 1 or not 0.0 < yearly_alpha < 1.0:
        raise ValueError(
            f"cannot spend {yearly_alpha} over {planned_rounds} rounds at round {round_number}"
        )
    if round_number <= planned_rounds:
        return yearly_alpha * _PLANNED_SHARE / planned_rounds
    unplanned = round_number - planned_rounds - 1
    share = 1.0 / (planned_rounds + 1)
    return yearly_alpha * (1.0 - _PLANNED_SHARE) * share * (1.0 - share) ** unplanned


def alpha_left(yearly_alpha: float, planned_rounds: int, rounds: int) -> float:
    """The remaining error of the year after this many rounds."""
    spent = sum(round_alpha(yearly_alpha, planned_rounds, k) for k in range(1, rounds + 1))
    return yearly_alpha - spent
