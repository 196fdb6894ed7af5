"""The metrics that each task can be judged by, and which is taken where none is declared."""

import re
from collections.abc import Mapping

from shared.rows.schema import TaskKind

METRICS: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.BINARY: ("average_precision", "auc", "log_loss", "brier", "accuracy"),
    TaskKind.MULTICLASS: ("log_loss", "accuracy", "macro_f1"),
    TaskKind.REGRESSION: ("rmse", "mae", "r2", "pinball"),
    TaskKind.RANKING: ("ndcg_at_5", "precision_at_5", "recall_at_5", "f1_at_5", "rmse", "mae"),
}
_AT_K = re.compile(r"(ndcg|precision|recall|f1)_at_[1-9]\d?")


def default_metric(task: TaskKind) -> str:
    return METRICS[task][0]


def is_metric_of(task: TaskKind, name: str) -> bool:
    """Whether a task can be judged by this metric; a ranking also by any k up to 99."""
    return name in METRICS[task] or (task is TaskKind.RANKING and bool(_AT_K.fullmatch(name)))
