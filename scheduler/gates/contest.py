"""What the metrics gate judges: two models' scores of the same rows, and how they compare."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduler.gates.judging import Number
from scheduler.statistics.compare import Comparison, compare
from shared.usecase.learning import Labels, PromotionPolicy

GATE = "metrics"
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything the comparison needs.

    Attributes:
        clusters: (rows, 2) codes of customer and day; rows of one customer are not independent.
        champion: its scores, None when there are none.
        champion_version: None when nothing serves yet.
        new_recipe: features, algorithm or hyperparameters differ from the champion's.
        unscorable_reason: why there is a champion, but no scores of it.
        metrics: the candidate's point estimates, for the floors.
    """

    labels: Labels
    clusters: npt.NDArray[np.int64] | None
    candidate: Scores
    champion: Scores | None
    champion_version: str | None
    champion_age_days: float | None
    new_recipe: bool
    unscorable_reason: str | None
    metrics: Mapping[str, float]


def paired(contest: Contest, champion: Scores, policy: PromotionPolicy, seed: int) -> Comparison:
    return compare(
        champion,
        contest.candidate,
        contest.labels,
        metric=policy.primary_metric,
        clusters=contest.clusters,
        resamples=policy.resamples,
        alpha=policy.alpha,
        seed=seed,
    )


def figures(found: Comparison, policy: PromotionPolicy, seed: int) -> dict[str, Number]:
    return {
        "metric": found.metric,
        "candidate": found.candidate,
        "champion": found.champion,
        "difference": found.difference,
        "lower": found.lower,
        "upper": found.upper,
        "p_value": found.p_value,
        "positives": found.positives,
        "negatives": found.negatives,
        "alpha": policy.alpha,
        "resamples": policy.resamples,
        "seed": seed,
    }
