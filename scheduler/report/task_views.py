"""Models of other tasks than the binary one on labelled rows: what their figures show.

A regression is shown by its residuals, several classes by their confusion, a ranking by its gain
at every length of the list and by which items it puts forward.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learning.measures import measure_named
from shared.tasks import Task, TaskKind

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MOST_POINTS = 800
BANDS = 12
BINS = 40
MOST_CLASSES = 12
LONGEST_LIST = 10
COVERED = 5
"""An item is covered by a list where it is among its first five."""


@dataclass(frozen=True, slots=True)
class ValueView:
    """A regression.

    Attributes:
        actual, predicted: of rows spread evenly over the held-out ones.
        centres: the middle predicted value of each band of rows.
        low, middle, high: the 5th, 50th and 95th percentile of the residuals in each band.
        edges, shares: the distribution of the residuals, truth minus prediction.
    """

    version: str
    actual: Floats
    predicted: Floats
    centres: Floats
    low: Floats
    middle: Floats
    high: Floats
    edges: Floats
    shares: Floats


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: how often it was answered rightly; NaN where it was never answered, or true."""

    name: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class ClassView:
    """A classification of several classes.

    Attributes:
        shown: the classes in the matrix, the most frequent ones.
        confusion: rows of a true class (down) that were answered as a class (across).
    """

    version: str
    shown: tuple[str, ...]
    confusion: Codes
    classes: tuple[ClassRow, ...]


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item: the share of rows in whose first five it is, as answered and as rated."""

    name: str
    answered: float
    rated: float


@dataclass(frozen=True, slots=True)
class RankView:
    """A ranking.

    Attributes:
        gains: NDCG for lists of 1, 2, 3, ... items.
        items: the most often answered ones first.
        coverage: the share of items that are among the first five of some row.
    """

    version: str
    gains: Floats
    items: tuple[ItemRow, ...]
    coverage: float


TaskView = ValueView | ClassView | RankView


def view_of(task: Task, version: str, predictions: Floats, labels: Floats) -> TaskView | None:
    """The view of a model; None for a binary task, and where nothing can be drawn."""
    if not len(labels) or not np.isfinite(predictions).all():
        return None
    if task.kind is TaskKind.REGRESSION:
        return _values(version, predictions, labels)
    if task.kind is TaskKind.MULTICLASS:
        return _classes(task, version, predictions, labels.astype(np.int64))
    if task.kind is TaskKind.RANKING:
        return _ranks(task, version, predictions, labels)
    return None


def _values(version: str, predicted: Floats, actual: Floats) -> ValueView:
    residuals = actual - predicted
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, BANDS) if len(part)]
    low, middle, high = np.array(
        [np.quantile(residuals[part], [0.05, 0.5, 0.95]) for part in parts]
    ).T
    ends = np.quantile(residuals, [0.005, 0.995])
    reach = max(float(np.abs(ends).max()), float(np.finfo(np.float32).tiny))
    edges = np.linspace(-reach, reach, BINS + 1)
    shares = np.histogram(np.clip(residuals, -reach, reach), edges)[0] / len(residuals)
    step = -(-len(actual) // MOST_POINTS)
    centres = np.array([np.median(predicted[part]) for part in parts])
    return ValueView(
        version, actual[::step], predicted[::step], centres, low, middle, high, edges, shares
    )


def _classes(task: Task, version: str, predictions: Floats, true: Codes) -> ClassView:
    answered, width = predictions.argmax(axis=1), task.width
    whole = np.zeros((width, width), dtype=np.int64)
    np.add.at(whole, (true, answered), 1)
    frequent = np.sort(np.argsort(-whole.sum(axis=1), kind="stable")[:MOST_CLASSES])
    rows = tuple(_class_row(name, whole, at) for at, name in enumerate(task.names))
    shown = tuple(task.names[at] for at in frequent)
    return ClassView(version, shown, whole[np.ix_(frequent, frequent)], rows)


def _class_row(name: str, confusion: Codes, at: int) -> ClassRow:
    right, is_true, said = confusion[at, at], confusion[at].sum(), confusion[:, at].sum()
    return ClassRow(
        name,
        int(is_true),
        _share(right, said),
        _share(right, is_true),
        _share(2 * right, is_true + said),
    )


def _ranks(task: Task, version: str, predictions: Floats, labels: Floats) -> RankView:
    longest = min(LONGEST_LIST, task.width)
    gains = [
        measure_named(f"ndcg_at_{length}").of(predictions, labels).value
        for length in range(1, longest + 1)
    ]
    answered, rated = _first(predictions), _first(np.where(np.isnan(labels), -np.inf, labels))
    items = [ItemRow(name, *both) for name, *both in zip(task.names, answered, rated, strict=True)]
    items.sort(key=lambda item: -item.answered)
    return RankView(version, np.array(gains), tuple(items), float((answered > 0).mean()))


def _first(scores: Floats) -> Floats:
    """The share of rows in which an item is among the first five, for each item."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :COVERED]
    counts = np.bincount(best.reshape(-1), minlength=scores.shape[1])
    return np.asarray(counts / len(scores))


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def paired_classes(views: Sequence[TaskView]) -> Sequence[tuple[ClassRow, ClassRow | None]]:
    """Each class of the candidate (first) with the champion's, where there is one."""
    both = [view for view in views if isinstance(view, ClassView)]
    if not both:
        return ()
    other: Mapping[str, ClassRow] = {}
    if len(both) > 1:
        other = {row.name: row for row in both[1].classes}
    return [(row, other.get(row.name)) for row in both[0].classes]
