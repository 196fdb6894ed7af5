"""The input of a trainer: rows, labels, the columns' meaning, and the recipes to try."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.measures import default_measure
from shared.errors import TrainingFailed
from shared.tasks import Task, TaskKind
from shared.usecase.serving import FloatMatrix

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class InputColumn:
    """One float32 of the vector.

    Attributes:
        is_category: the number is the code of a word, not a quantity.
        words: the number of each known word; needed by estimators that take a DataFrame.
        field: the declared column it stands for; None: its own name.
    """

    name: str
    is_category: bool = False
    words: Mapping[float, str] = field(default_factory=dict)
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """The recipe of one model.

    Attributes:
        model: gradient_boosting, lightgbm, xgboost, denoising_autoencoder, or `module:attribute`
            of an estimator of your own.
        settings: what differs from that model's defaults; unknown ones are refused.
    """

    model: str = "gradient_boosting"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The model, and what is set, in one line."""
        changed = ", ".join(f"{name} {value}" for name, value in sorted(self.settings.items()))
        return f"{self.model} ({changed})" if changed else self.model


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """One training; rows are in the order of time.

    Attributes:
        labels: one number a row, or one a row and item for a ranking.
        items: the column with the ratings so far of each item of a ranking; empty: the columns
            are the items, in their order.
        recipes: the one that is best on validation rows is trained on all of them.
        measure: by which the best is chosen; empty: the task's default.
        validation_share: the newest share of the rows; thresholds are chosen there, too.
        folds: number of parts on which the recipe is measured, for the report; 0: none.
        outlier: add an isolation forest that scores how unusual a row is.
        outlier_share: the share of validation rows that count as outliers.
    """

    task: Task
    matrix: FloatMatrix
    labels: npt.NDArray[Any]
    columns: tuple[InputColumn, ...]
    feature_set_version: str
    recipes: tuple[Recipe, ...] = (Recipe(),)
    measure: str = ""
    validation_share: float = 0.2
    folds: int = 0
    outlier: bool = False
    outlier_share: float = 0.005
    seed: int = 0
    items: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def categories(self) -> tuple[int, ...]:
        """Positions of the columns that hold names of words."""
        return tuple(place for place, column in enumerate(self.columns) if column.is_category)

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Positions of the columns that hold quantities."""
        categories = set(self.categories)
        found = [place for place in range(len(self.columns)) if place not in categories]
        return np.array(found, dtype=np.int64)

    @property
    def item_columns(self) -> tuple[str, ...]:
        """The column of each item of a ranking, whether or not it is among `columns`."""
        return self.items or self.names[: self.task.width]

    @property
    def measure_name(self) -> str:
        return self.measure or default_measure(self.task)


def refuse_unusable(request: TrainingRequest) -> None:
    """Raises TrainingFailed, naming the column, when no training is possible from these rows."""
    matrix, labels = request.matrix, request.labels
    if matrix.dtype != np.float32 or matrix.ndim != 2:
        raise TrainingFailed(f"features: float32 rows are needed, not {matrix.dtype}")
    if len(matrix) != len(labels) or not len(labels):
        raise TrainingFailed(f"features: {len(matrix)} rows, {len(labels)} labels")
    if matrix.shape[1] != len(request.columns):
        raise TrainingFailed(f"features: {matrix.shape[1]} columns, {len(request.columns)} names")
    infinite: npt.NDArray[np.bool_] = np.any(np.isinf(matrix), axis=0)
    empty: npt.NDArray[np.bool_] = np.all(np.isnan(matrix), axis=0)
    for place, name in enumerate(request.names):
        if infinite[place]:
            raise TrainingFailed(f"features: {name} is infinite in some rows")
        if empty[place] and request.task.kind is not TaskKind.RANKING:
            raise TrainingFailed(
                f"features: {name} has no value in any row: remove it from [columns]"
            )
    _refuse_labels(request.task, labels)


def _refuse_labels(task: Task, labels: npt.NDArray[Any]) -> None:
    if task.kind is TaskKind.RANKING:
        if labels.ndim != 2 or labels.shape[1] != len(task.names):
            raise TrainingFailed(f"labels: {labels.shape} where {len(task.names)} items are due")
        return
    if labels.ndim != 1 or not np.isfinite(labels.astype(np.float64)).all():
        raise TrainingFailed("labels: one finite number a row is needed")
    held = np.unique(labels)
    if task.is_classification and not np.isin(held, np.arange(len(task.names))).all():
        raise TrainingFailed(f"labels: {held[:5]} are not positions of {task.names[:5]}")
    if len(held) < 2:
        only = task.names[int(held[0])] if task.is_classification else f"{held[0]:g}"
        raise TrainingFailed(
            f"labels: all {len(labels)} rows are {only!r}; no training is possible"
        )
