"""The metrics that each task can be judged by, and which is taken where none is declared."""

import re
from collections.abc import Mapping

from shared.tasks import TaskKind

METRICS: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.BINARY: (
        "average_precision",
        "auc",
        "log_loss",
        "brier",
        "accuracy",
        "macro_f1",
        "balanced_accuracy",
    ),
    TaskKind.MULTICLASS: ("log_loss", "accuracy", "macro_f1", "balanced_accuracy", "brier"),
    TaskKind.REGRESSION: ("rmse", "mae", "mse", "r2", "pinball_90"),
    TaskKind.RANKING: ("ndcg_at_5", "precision_at_5", "recall_at_5", "f1_at_5", "rmse", "mae"),
}
# metrics with a parameter: any k, any quantile
_NUMBERED = {
    TaskKind.RANKING: re.compile(r"(ndcg|precision|recall|f1)_at_[1-9]\d{0,2}"),
    TaskKind.REGRESSION: re.compile(r"pinball_([1-9]|[1-9]\d)"),
}


BUDGETED = ("recall_at_budget", "cost")
"""Metrics of a fixed number of alerts a day; binary, and only in a policy file."""


def checked_metric(name: str) -> str:
    """The name itself, where some task can be judged by it.

    Raises:
        ValueError: there is no such metric; names those that there are.
    """
    if name in BUDGETED or any(is_metric_of(task, name) for task in TaskKind):
        return name
    known = sorted({*BUDGETED, *(metric for metrics in METRICS.values() for metric in metrics)})
    raise ValueError(f"unknown metric {name!r}; known: {', '.join(known)}")


def default_metric(task: TaskKind) -> str:
    return METRICS[task][0]


def is_metric_of(task: TaskKind, name: str) -> bool:
    """True if a task can be judged by this metric."""
    numbered = _NUMBERED.get(task)
    return name in METRICS[task] or (numbered is not None and bool(numbered.fullmatch(name)))
