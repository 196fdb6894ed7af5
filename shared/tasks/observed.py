"""The value by which two versions are compared during a rollout: one number a row, in bins.

A histogram with fixed edges between 0 and 1 cannot show predictions outside of them: all fall in
one bin, and any two versions look the same. So the edges follow the champion's own predictions
(quantiles of its reference rows, kept in its bundle), and go on beyond them in steps that double,
so that a version that answers something else entirely is seen, too.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import floor, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.tasks.task import Task, TaskKind

PROBABILITY_EDGES = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99,
)  # fmt: skip
"""Finer towards both ends: probabilities of a rare class, or of a frequent one, are there."""

MAX_INNER_EDGES = 20
BEYOND = 6
"""Bins on either side of the reference; the last begins 63 of its widths away."""

MAX_EDGES = 64
_BELOW_ONE = 1.0 - 2.0**-20


def comparison_value(task: Task, outputs: Sequence[float]) -> float:
    """One number that says what a version answered.

    Multiclass and ranking: the position of the answer, plus a share in [0, 1) for how sure it
    is, so that one histogram holds the shares of the classes and the certainty within each.
    """
    if task.kind in (TaskKind.BINARY, TaskKind.REGRESSION):
        return outputs[0]
    best = max(range(task.width), key=outputs.__getitem__)
    sure = outputs[best] if task.kind is TaskKind.MULTICLASS else 0.0
    return best + min(max(sure, 0.0), _BELOW_ONE)


def comparison_values(task: Task, scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The same of many rows, one row of outputs each."""
    if task.kind in (TaskKind.BINARY, TaskKind.REGRESSION):
        return np.asarray(scores[:, 0], dtype=np.float64)
    outputs = scores[:, : task.width]
    best = outputs.argmax(axis=1)
    if task.kind is TaskKind.RANKING:
        return np.asarray(best, dtype=np.float64)
    sure = np.clip(outputs[np.arange(len(best)), best].astype(np.float64), 0.0, _BELOW_ONE)
    return np.asarray(best + sure, dtype=np.float64)


def label_values(task: Task, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One number for each label, by which a change of the labels is seen.

    A class's position or a value as it is; of a ranking the mean of the row's ratings.
    """
    if task.kind is not TaskKind.RANKING:
        return labels
    known = ~np.isnan(labels)
    sums = np.where(known, labels, 0.0).sum(axis=1)
    return np.asarray(sums / np.maximum(known.sum(axis=1), 1), dtype=np.float64)


def comparison_edges(task: Task, reference: Sequence[float] = ()) -> tuple[float, ...]:
    """Edges of the histogram in which two versions are compared.

    `reference` are the bin edges of the champion's own comparison values, in order.
    """
    if task.kind is TaskKind.BINARY:
        return PROBABILITY_EDGES
    if task.kind is TaskKind.REGRESSION:
        return range_edges(reference)
    return _position_edges(task)


def range_edges(reference: Sequence[float]) -> tuple[float, ...]:
    """The given edges, thinned, and steps that double on either side of them."""
    inner = sorted({float(edge) for edge in reference if isfinite(edge)})
    if not inner:
        return _symmetric_powers()
    if len(inner) > MAX_INNER_EDGES:
        step = (len(inner) - 1) / (MAX_INNER_EDGES - 1)
        inner = [inner[round(place * step)] for place in range(MAX_INNER_EDGES)]
    width = inner[-1] - inner[0] or abs(inner[0]) / 8 or 1.0
    steps = [width * (2**power - 1) for power in range(1, BEYOND + 1)]
    below = [inner[0] - step for step in reversed(steps)]
    above = [inner[-1] + step for step in steps]
    return tuple(sorted({edge for edge in (*below, *inner, *above) if isfinite(edge)}))


def bin_of(edges: Sequence[float], value: float) -> int:
    """The bin of a value; the first and the last one have no end."""
    return bisect_right(edges, value)


def _position_edges(task: Task) -> tuple[float, ...]:
    """Edges at the classes, and between them where there are few."""
    parts = max(1, min(4, MAX_EDGES // task.width)) if task.kind is TaskKind.MULTICLASS else 1
    count = task.width * parts
    if count <= MAX_EDGES:
        return tuple(place / parts for place in range(1, count))
    step = count / MAX_EDGES
    return tuple(float(floor(place * step)) for place in range(1, MAX_EDGES))


def _symmetric_powers() -> tuple[float, ...]:
    """Edges for an unknown range: powers of four, of either sign."""
    powers = [4.0**power for power in range(-8, 13)]
    return (*(-power for power in reversed(powers)), 0.0, *powers)
