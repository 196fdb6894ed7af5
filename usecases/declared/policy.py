"""The promotion policy of a declaration, as far as the scheduler's judgement knows its task."""

from shared.errors import SettingsError
from shared.rows.declaration import Declaration
from shared.tasks import Margin, TaskKind
from shared.usecase.promotion import Metric, PromotionPolicy

JUDGED_METRICS: tuple[Metric, ...] = ("auc", "average_precision", "recall_at_budget")
MIN_POSITIVES = 50
CHAMPION_MAX_AGE_DAYS = 28.0
_HARDEST = 0.5


def promotion_policy(declared: Declaration) -> PromotionPolicy:
    """How much better a candidate must be.

    A relative margin is taken of the metric's floor, or of one half where none is declared: what
    the champion reaches is not known when the policy is read, and a margin may not be wider.

    Raises:
        SettingsError: the judgement cannot compare models of this task, or by this metric.
    """
    task, metric, judge = declared.use_case.task, declared.metric, declared.judge
    if task is not TaskKind.BINARY or metric not in JUDGED_METRICS:
        raise SettingsError(
            f"judge.metric = {metric!r} of task = {str(task)!r} cannot be compared with a champion "
            f"yet: the judgement knows {', '.join(JUDGED_METRICS)} of binary tasks"
        )
    primary = next(name for name in JUDGED_METRICS if name == metric)
    judged = {name: judge.guards[name] for name in JUDGED_METRICS if name in judge.guards}
    floors = {name: judge.floors[name] for name in JUDGED_METRICS if name in judge.floors}
    return PromotionPolicy(
        name=f"{declared.use_case.name}-{declared.use_case.version}",
        primary_metric=primary,
        margin=_amount(judge.margin, floors.get(primary)),
        yearly_alpha=0.05,
        rounds_per_year=judge.rounds_per_year,
        min_positives=MIN_POSITIVES,
        champion_max_age_days=CHAMPION_MAX_AGE_DAYS,
        first_model_min=floors,
        guard_metrics={n: _amount(one, floors.get(n)) for n, one in judged.items()},
    )


def _amount(margin: Margin, floor: float | None) -> float:
    if not margin.is_relative:
        return margin.amount
    return margin.amount * (_HARDEST if floor is None else floor)
