"""The promotion policy of a declaration."""

from shared.rows.declaration import Declaration
from shared.tasks import TaskKind
from shared.usecase.policy import PromotionPolicy

MIN_SUPPORT = {
    TaskKind.BINARY: 50,
    TaskKind.MULTICLASS: 20,
    TaskKind.REGRESSION: 100,
    TaskKind.RANKING: 100,
}
"""Positives, rows of the smallest class, rows, entities: fewer say too little."""

CHAMPION_MAX_AGE_DAYS = 28.0


def promotion_policy(declared: Declaration) -> PromotionPolicy:
    """The policy that a candidate must meet."""
    judge = declared.judge
    return PromotionPolicy(
        name=f"{declared.use_case.name}-{declared.use_case.version}",
        primary_metric=declared.metric,
        margin=judge.margin.declared,
        yearly_alpha=0.05,
        rounds_per_year=judge.rounds_per_year,
        min_positives=MIN_SUPPORT[declared.use_case.task],
        champion_max_age_days=CHAMPION_MAX_AGE_DAYS,
        first_model_min=judge.floors,
        guard_metrics={name: margin.declared for name, margin in judge.guards.items()},
        slice_tolerance=judge.margin.declared,
        first_model_beats_constant=not judge.floors,
    )
