"""The task of a use case: its kind, its classes or items, and the outputs of its graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

OUTLIER = "outlier"
"""The output of the optional outlier component; always the last one."""

MAX_CLASSES = 256
"""One output and one probability in every answer for each class."""

_MAX_NAME = 100


class TaskKind(StrEnum):
    """The kind of prediction."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    RANKING = "ranking"


@dataclass(frozen=True, slots=True)
class Task:
    """The prediction task of a use case.

    Attributes:
        names: binary: the negative and the positive class; multiclass: the classes; ranking:
            the items; regression: nothing. A label is stored as a position in it.
    """

    kind: TaskKind
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fault = _fault(self.kind, self.names)
        if fault:
            raise ValueError(fault)

    @classmethod
    def binary(cls, positive: str = "1", negative: str = "0") -> "Task":
        return cls(TaskKind.BINARY, (negative, positive))

    @classmethod
    def multiclass(cls, classes: Sequence[str]) -> "Task":
        return cls(TaskKind.MULTICLASS, tuple(classes))

    @classmethod
    def regression(cls) -> "Task":
        return cls(TaskKind.REGRESSION)

    @classmethod
    def ranking(cls, items: Sequence[str]) -> "Task":
        return cls(TaskKind.RANKING, tuple(items))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns of the graph's `scores`, without the outlier component."""
        if self.kind is TaskKind.BINARY:
            return ("probability",)
        if self.kind is TaskKind.REGRESSION:
            return ("prediction",)
        prefix = "probability" if self.kind is TaskKind.MULTICLASS else "score"
        return tuple(f"{prefix} {name}" for name in self.names)

    @property
    def width(self) -> int:
        """The number of outputs, without the outlier component."""
        scalar = self.kind in (TaskKind.BINARY, TaskKind.REGRESSION)
        return 1 if scalar else len(self.names)

    def predictions(self, scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Graph outputs as measures take them: one number a row, or one for each output."""
        if self.width == 1:
            return np.asarray(scores[:, 0], dtype=np.float64)
        return np.asarray(scores[:, : self.width], dtype=np.float64)

    @property
    def is_classification(self) -> bool:
        return self.kind in (TaskKind.BINARY, TaskKind.MULTICLASS)

    @property
    def estimated_without_labels(self) -> bool:
        """True if calibrated outputs estimate the model's quality before labels arrive.

        The probability of one of two classes does; a predicted value or a rank has no error
        estimate, and the probabilities of several classes are not calibrated here.
        """
        return self.kind is TaskKind.BINARY


def _fault(kind: TaskKind, names: tuple[str, ...]) -> str | None:
    if kind is TaskKind.REGRESSION:
        return "a regression has no classes: remove them" if names else None
    what = "items" if kind is TaskKind.RANKING else "classes"
    if kind is TaskKind.BINARY and len(names) != 2:
        return f"a binary task has two classes, not {len(names)}: use multiclass or regression"
    if len(names) < 2:
        return f"{len(names)} {what}: at least two are needed"
    if len(names) > MAX_CLASSES:
        return (
            f"{len(names)} {what}, at most {MAX_CLASSES} are possible: put rare ones together, "
            "or predict a number (task = 'regression')"
        )
    if len(set(names)) < len(names):
        return f"{what} are named twice: {sorted({n for n in names if names.count(n) > 1})}"
    long = [name for name in names if not 0 < len(name) <= _MAX_NAME]
    if long:
        return f"{what} need names of 1 to {_MAX_NAME} characters, unlike {long[0][:40]!r}"
    return None
