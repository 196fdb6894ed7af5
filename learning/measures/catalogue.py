"""All measures by name, and which a task is judged by when nothing is declared."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from learning.measures import classes, ranked, values
from learning.measures.measure import Measure, RowGain, mean_gain
from shared.tasks import Task, TaskKind

_INF = float("inf")
_LOSS, _SHARE = (-_INF, 0.0), (0.0, 1.0)
_AT_K = re.compile(r"([a-z0-9]+_at_)([1-9]\d{0,2})")
_PINBALL = re.compile(r"pinball_([1-9]|[1-9]\d)")


def _mean(name: str, kinds: frozenset[TaskKind], gain: RowGain, *, is_loss: bool) -> Measure:
    bounds = _LOSS if is_loss else _SHARE
    return Measure(name, kinds, is_loss, bounds, mean_gain(gain), gain)


_FIXED: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("auc", classes.TWO_CLASSES, False, _SHARE, classes.auc),
        Measure("average_precision", classes.TWO_CLASSES, False, _SHARE, classes.average_precision),
        _mean("log_loss", classes.KINDS, classes.log_loss, is_loss=True),
        _mean("brier", classes.KINDS, classes.brier, is_loss=True),
        _mean("accuracy", classes.KINDS, classes.accuracy, is_loss=False),
        Measure("macro_f1", classes.KINDS, False, _SHARE, classes.macro_f1),
        Measure("balanced_accuracy", classes.KINDS, False, _SHARE, classes.balanced_accuracy),
        _mean("mse", values.KINDS, values.squared_error, is_loss=True),
        _mean("mae", values.KINDS, values.absolute_error, is_loss=True),
        Measure("rmse", values.KINDS, True, _LOSS, values.rmse),
        Measure("r2", frozenset({TaskKind.REGRESSION}), False, (-_INF, 1.0), values.r2),
    )
}
_SHOWN: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.BINARY: ("average_precision", "auc", "log_loss", "brier", "accuracy"),
    TaskKind.MULTICLASS: ("log_loss", "accuracy", "macro_f1", "balanced_accuracy", "brier"),
    TaskKind.REGRESSION: ("rmse", "mae", "r2"),
    TaskKind.RANKING: ("ndcg_at_5", "rmse", "mae", "precision_at_5", "recall_at_5", "f1_at_5"),
}


def measure_named(name: str) -> Measure:
    """The measure of that name; `ndcg_at_5` and `pinball_90` exist for every number.

    Raises:
        ValueError: the name is unknown.
    """
    if name in _FIXED:
        return _FIXED[name]
    at_k = _AT_K.fullmatch(name)
    if at_k and at_k[1] in ranked.RANKED:
        gain = ranked.RANKED[at_k[1]](int(at_k[2]))
        return _mean(name, ranked.KINDS, gain, is_loss=False)
    quantile = _PINBALL.fullmatch(name)
    if quantile:
        gain = values.pinball(int(quantile[1]) / 100.0)
        return _mean(name, frozenset({TaskKind.REGRESSION}), gain, is_loss=True)
    raise ValueError(f"unknown metric {name!r}; known: {', '.join(known_measures())}")


_LOSS_METRICS = {
    TaskKind.BINARY: "brier",
    TaskKind.MULTICLASS: "log_loss",
    TaskKind.REGRESSION: "mae",
    TaskKind.RANKING: "ndcg_at_5",
}
_MEAN_OF = {"rmse": "mse"}


def loss_metric(metric: str, task: Task) -> str:
    """A metric with one number a row: the given one, what it is the root of, or the task's."""
    named = _MEAN_OF.get(metric, metric)
    try:
        found = measure_named(named)
    except ValueError:
        return _LOSS_METRICS[task.kind]
    return named if found.row_gain is not None else _LOSS_METRICS[task.kind]


def row_losses(
    metric: str, predictions: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """One number a row of which less is better; NaN where a row says nothing.

    Raises:
        ValueError: the metric is unknown, or no mean over rows.
    """
    found = measure_named(metric)
    if found.row_gain is None:
        raise ValueError(f"{metric} is no mean over rows")
    gains = found.row_gain(predictions, labels)
    return -gains if found.is_loss else 1.0 - gains


def known_measures(task: Task | None = None) -> tuple[str, ...]:
    """Names that may be declared, for one task or all; those with a number by an example."""
    open_ended = ("pinball_90", "ndcg_at_5", "precision_at_5", "recall_at_5", "f1_at_5")
    names = (*_FIXED, *open_ended)
    return tuple(n for n in names if task is None or task.kind in measure_named(n).tasks)


def default_measure(task: Task) -> str:
    """The default measure of a task."""
    return _SHOWN[task.kind][0]


def shown_measures(task: Task) -> tuple[str, ...]:
    """The measures that a report shows for a task."""
    return _SHOWN[task.kind]


def point_values(
    task: Task,
    predictions: npt.NDArray[np.floating],
    labels: npt.NDArray[np.floating],
    more: Iterable[str] = (),
) -> Mapping[str, float]:
    """The task's usual measures as people know them; NaN where one is undefined."""
    exact, truth = predictions.astype(np.float64), labels.astype(np.float64)
    usable = bool(np.isfinite(exact).all()) and len(truth) > 0
    found = {}
    for name in dict.fromkeys((*_SHOWN[task.kind], *more)):
        measure = measure_named(name)
        value = measure.of(exact, truth).value if usable else float("nan")
        found[name] = float(measure.shown(value))
    return found
