"""The metrics that each task can be judged by, and a margin: how much of one may be lost."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.tasks.task import TaskKind

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


_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Margin:
    """An amount in the measure's own unit, or a share of the champion's value."""

    amount: float
    is_relative: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.amount < float("inf") or (self.is_relative and self.amount >= 1.0):
            raise ValueError(f"a margin is 0 or more, and less than 100 %, not {self}")

    @classmethod
    def parse(cls, declared: "str | float | Margin") -> "Margin":
        """Parses `0.01` or `"2 %"`; a margin is returned unchanged.

        Raises:
            ValueError: neither, or negative.
        """
        if isinstance(declared, Margin):
            return declared
        if isinstance(declared, int | float) and not isinstance(declared, bool):
            return cls(float(declared))
        found = _PERCENT.fullmatch(declared) if isinstance(declared, str) else None
        if found is None:
            raise ValueError(
                f"{declared!r} is not a margin: write 0.01, or '2 %' of the champion's"
            )
        return cls(float(found[1]) / 100.0, is_relative=True)

    def of(self, champion: float) -> float:
        """The amount that may be lost where the champion has this value."""
        return self.amount * abs(champion) if self.is_relative else self.amount

    def champion_weight(self, champion: float) -> float:
        """w, where "no worse than the margin" means candidate - w * champion + amount > 0.

        The champion's value is an estimate, too: a relative margin has a standard error, which the
        comparison includes.
        """
        if not self.is_relative:
            return 1.0
        return 1.0 + self.amount if champion < 0 else 1.0 - self.amount

    @property
    def declared(self) -> str | float:
        """The text as it was declared."""
        return str(self) if self.is_relative else self.amount

    def __str__(self) -> str:
        return f"{self.amount * 100:g} %" if self.is_relative else f"{self.amount:g}"
