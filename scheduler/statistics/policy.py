"""How much better a candidate must be: the two policies and their declared numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from scheduler.statistics.compare import METRICS
from shared.usecase.learning import PromotionPolicy


class Kind(StrEnum):
    """Superiority: for a new recipe. Non-inferiority: for a routine refresh."""

    SUPERIORITY = "superiority"
    NON_INFERIORITY = "non_inferiority"


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    """What `judge` holds a candidate to.

    Attributes:
        margin: a refresh may lose at most this much of the primary metric.
        yearly_alpha: chance per year to promote an equal candidate as better, or one worse
            by the margin as no worse.
        rounds_per_year: how many comparisons a year are planned.
        min_positives: fewer matured positives are INCONCLUSIVE.
        guard_metrics: further metrics -> how much of each may be lost before it is harm.
        slice_tolerance: how much of the primary metric a slice may lose before it is harm.
        guard_alpha: common error (Holm) of calling harm where there is none.
    """

    kind: Kind
    primary_metric: str = "auc"
    margin: float = 0.01
    yearly_alpha: float = 0.05
    rounds_per_year: int = 52
    min_positives: int = 100
    champion_max_age_days: float = 28.0
    guard_metrics: Mapping[str, float] = field(default_factory=dict)
    slice_tolerance: float = 0.01
    guard_alpha: float = 0.05
    resamples: int = 2_000
    daily_alerts: int = 100
    cost_per_alert: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = {self.primary_metric, *self.guard_metrics} - set(METRICS)
        if unknown:
            raise ValueError(f"unknown metric {', '.join(sorted(unknown))}; known: {set(METRICS)}")
        if not 0.0 < self.yearly_alpha <= 0.5 or not 0.0 < self.guard_alpha <= 0.5:
            raise ValueError("yearly_alpha and guard_alpha must be in (0, 0.5]")
        if min(self.rounds_per_year, self.min_positives, self.daily_alerts) < 1:
            raise ValueError("rounds_per_year, min_positives and daily_alerts must be 1 or more")
        if not min(self.margin, self.slice_tolerance, *self.guard_metrics.values(), 1.0) >= 0.0:
            raise ValueError("margin and tolerances must not be negative")
        if self.resamples < 100:
            raise ValueError("fewer than 100 resamples say nothing")


def parse_policy(table: Mapping[str, Any]) -> JudgePolicy:
    """A policy from a table of the use case's file.

    Raises:
        ValueError: an unknown key, a missing or unknown kind, or a number out of range.
    """
    unknown = set(table) - {item.name for item in fields(JudgePolicy)}
    if unknown:
        raise ValueError(f"unknown promotion setting {', '.join(sorted(unknown))}")
    if "kind" not in table:
        raise ValueError("promotion setting 'kind' is missing: superiority or non_inferiority")
    return JudgePolicy(**{**table, "kind": Kind(table["kind"])})


def from_promotion(policy: PromotionPolicy, kind: Kind, rounds_per_year: int = 52) -> JudgePolicy:
    """The policy that a use case declares in code; its alpha is what a year may spend."""
    return JudgePolicy(
        kind=kind,
        primary_metric=policy.primary_metric,
        margin=policy.non_inferiority_margin,
        yearly_alpha=policy.alpha,
        rounds_per_year=rounds_per_year,
        min_positives=policy.min_positives,
        champion_max_age_days=policy.champion_max_age_days,
        resamples=policy.resamples,
    )
