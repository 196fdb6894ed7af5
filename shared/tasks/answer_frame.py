"""Answers of many rows as columns: the same words and numbers as `answer_function`, row by row."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.tasks.answer import DECISION, DEFAULT_DECISION, SHOWN_ITEMS, check_components
from shared.tasks.task import OUTLIER, Task, TaskKind

Scores = npt.NDArray[np.float32]


def answer_frame(
    task: Task, components: Sequence[str], thresholds: Mapping[str, float], scores: Scores
) -> pl.DataFrame:
    """The answers to rows with these graph outputs, (rows, components).

    Raises:
        ValueError: the components are not the outputs of the task.
    """
    check_components(task, components)
    columns = _COLUMNS[task.kind](task, thresholds, scores)
    if OUTLIER in components:
        unusual = scores[:, -1].astype(np.float64)
        # `not <=` instead of `>`: NaN counts as unusual
        columns["is_outlier"] = pl.Series(~(unusual <= thresholds.get(OUTLIER, float("inf"))))
        columns["outlier_score"] = pl.Series(unusual)
    return pl.DataFrame(columns)


def _binary(task: Task, thresholds: Mapping[str, float], scores: Scores) -> dict[str, pl.Series]:
    probability = scores[:, 0].astype(np.float64)
    is_positive = probability >= thresholds.get(DECISION, DEFAULT_DECISION)
    return {
        "prediction": _words(task.names, is_positive.astype(np.int64)),
        "probability": pl.Series(probability),
    }


def _multiclass(
    task: Task, _thresholds: Mapping[str, float], scores: Scores
) -> dict[str, pl.Series]:
    all_of_them = scores[:, : task.width].astype(np.float64)
    best = all_of_them.argmax(axis=1)
    each = {f"probability {name}": all_of_them[:, at] for at, name in enumerate(task.names)}
    return {
        "prediction": _words(task.names, best),
        "probability": pl.Series(np.take_along_axis(all_of_them, best[:, None], 1)[:, 0]),
        **{name: pl.Series(np.ascontiguousarray(values)) for name, values in each.items()},
    }


def _regression(
    _task: Task, _thresholds: Mapping[str, float], scores: Scores
) -> dict[str, pl.Series]:
    return {"prediction": pl.Series(scores[:, 0].astype(np.float64))}


def _ranking(task: Task, _thresholds: Mapping[str, float], scores: Scores) -> dict[str, pl.Series]:
    """`item 1` is the best one, then its score, and so on."""
    all_of_them = scores[:, : task.width].astype(np.float64)
    order = np.argsort(-all_of_them, axis=1, kind="stable")[:, :SHOWN_ITEMS]
    columns: dict[str, pl.Series] = {}
    for rank in range(order.shape[1]):
        place = order[:, rank]
        columns[f"item {rank + 1}"] = _words(task.names, place)
        columns[f"score {rank + 1}"] = pl.Series(all_of_them[np.arange(len(place)), place])
    return columns


def _words(names: Sequence[str], places: npt.NDArray[np.int64]) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(places)


_COLUMNS = {
    TaskKind.BINARY: _binary,
    TaskKind.MULTICLASS: _multiclass,
    TaskKind.REGRESSION: _regression,
    TaskKind.RANKING: _ranking,
}
