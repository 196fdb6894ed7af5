"""One held-out sample scored by both models, checked once so that the statistics need not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.tasks import Support, Task, TaskKind, support_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]

BINARY = Task.binary()


class NotComparable(Exception):
    """Raised when the two models cannot be compared on these rows.

    Attributes:
        reason: what is wrong with the rows, for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PairedSample:
    """Scores of both models and the truth of the same rows.

    Attributes:
        champion, candidate: one number a row, or one for each output of the task.
        positive: True where the label is 1; of other tasks than binary, everywhere.
        truth: the labels; None: `positive` has them.
        task: what the scores are of.
        ways: for each way rows depend on each other (customers, then days), a group number
            a row.
        days: which day's alert budget the row competes for; None: all rows share one.
        amounts: what a missed positive costs; None: 1 each.
    """

    champion: Floats
    candidate: Floats
    positive: Bools
    ways: tuple[Codes, ...] = ()
    days: Codes | None = None
    amounts: Floats | None = None
    truth: Floats | None = None
    task: Task = BINARY

    @property
    def labels(self) -> Floats:
        return self.positive.astype(np.float64) if self.truth is None else self.truth

    @property
    def support(self) -> Support:
        """The sample size that counts; for a binary task, the positives."""
        if self.task.kind is TaskKind.BINARY:
            return Support(self.positives, "positives")
        return support_of(self.task, self.labels, self.ways[0] if self.ways else None)

    @property
    def positives(self) -> int:
        return int(np.count_nonzero(self.positive))

    @property
    def negatives(self) -> int:
        return len(self.positive) - self.positives

    @property
    def groupings(self) -> tuple[Codes, ...]:
        """The resampling weights; every row is its own group where no group is given."""
        return self.ways or (np.arange(len(self.positive), dtype=np.int64),)


def paired_sample(
    champion: npt.ArrayLike,
    candidate: npt.ArrayLike,
    labels: npt.ArrayLike,
    clusters: npt.NDArray[Any] | None = None,
    *,
    days: npt.NDArray[Any] | None = None,
    amounts: npt.ArrayLike | None = None,
    task: Task = BINARY,
) -> PairedSample:
    """Check the rows and give them one form.

    `clusters` has shape (n,) or (n, ways): rows with an equal entry depend on each other.

    Raises:
        NotComparable: empty, unequal lengths, NaN or infinite, labels of another task, or
            (binary) one class only.
    """
    if task.kind is not TaskKind.BINARY:
        arms = (outputs(task, "champion", champion), outputs(task, "candidate", candidate))
        day_codes = None if days is None else group_codes(days)
        return _of_task(task, arms, truth_of(task, labels), clusters, day_codes)
    before, after = numbers("champion scores", champion), numbers("candidate scores", candidate)
    positive = _positive(labels)
    rows = len(positive)
    money = None if amounts is None else numbers("amounts", amounts)
    lengths = {rows, len(before), len(after), rows if money is None else len(money)}
    if len(lengths) > 1 or (days is not None and days.shape != (rows,)):
        raise NotComparable("scores, labels, days and amounts differ in length")
    if rows == 0:
        raise NotComparable("no rows to compare on")
    count = int(np.count_nonzero(positive))
    if count in (0, rows):
        raise NotComparable("one class only: " + ("no positives" if count == 0 else "no negatives"))
    day_codes = None if days is None else group_codes(days)
    return PairedSample(before, after, positive, _ways(clusters, rows), day_codes, money)


def _of_task(
    task: Task,
    arms: tuple[Floats, Floats],
    truth: Floats,
    clusters: npt.NDArray[Any] | None,
    days: Codes | None,
) -> PairedSample:
    rows = len(truth)
    if {rows} != {len(arms[0]), len(arms[1])} or (days is not None and len(days) != rows):
        raise NotComparable("scores, labels and days differ in length")
    if rows == 0:
        raise NotComparable("no rows to compare on")
    everywhere = np.ones(rows, dtype=np.bool_)
    ways = _ways(clusters, rows)
    return PairedSample(*arms, everywhere, ways, days, truth=truth, task=task)


def outputs(task: Task, whose: str, values: npt.ArrayLike) -> Floats:
    """Finite outputs, one column for each where the task has several.

    Raises:
        NotComparable: another shape, or NaN or infinite values.
    """
    table = np.asarray(values, dtype=np.float64)
    wanted = table.shape[:1] if task.kind is TaskKind.REGRESSION else (len(table), task.width)
    if table.shape != wanted:
        raise NotComparable(f"{whose} scores have the shape {table.shape}, not {wanted}")
    if not np.isfinite(table).all():
        raise NotComparable(f"{whose} scores hold NaN or infinite values")
    return table


def truth_of(task: Task, labels: npt.ArrayLike) -> Floats:
    """Labels as the measures take them: positions of classes, values, or ratings.

    Raises:
        NotComparable: labels of another task.
    """
    truth = np.asarray(labels, dtype=np.float64)
    if task.kind is TaskKind.RANKING:
        if truth.ndim != 2 or truth.shape[1] != task.width or np.isinf(truth).any():
            raise NotComparable(f"labels have the shape {truth.shape}, not {task.width} ratings")
        return truth
    if truth.ndim != 1 or not np.isfinite(truth).all():
        raise NotComparable("labels must be one finite number a row")
    if task.is_classification and not np.isin(truth, np.arange(task.width)).all():
        raise NotComparable(f"labels must be positions of the {task.width} classes")
    return truth


def group_codes(values: npt.NDArray[Any]) -> Codes:
    """Small whole numbers standing for the distinct values, quick when they already are."""
    if values.dtype.kind in "iu" and len(values):
        low, high = int(values.min()), int(values.max())
        if low >= 0 and high < 4 * len(values):
            return values.astype(np.int64, copy=False)
    inverse = np.unique(values, return_inverse=True)[1]
    return np.asarray(inverse, dtype=np.int64).reshape(-1)


def numbers(what: str, values: npt.ArrayLike) -> Floats:
    """One finite number a row.

    Raises:
        NotComparable: another shape, or NaN or infinite values.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise NotComparable(f"{what} must be one number a row")
    if not np.isfinite(column).all():
        raise NotComparable(f"{what} hold NaN or infinite values")
    return column


def _positive(labels: npt.ArrayLike) -> Bools:
    values = np.asarray(labels)
    if values.dtype.kind not in "biuf":
        raise NotComparable("labels must be numbers")
    if not np.isin(values, (0, 1)).all():
        raise NotComparable("labels must be 0 or 1 (matured rows only)")
    return np.asarray(values == 1, dtype=np.bool_)


def _ways(clusters: npt.NDArray[Any] | None, rows: int) -> tuple[Codes, ...]:
    if clusters is None:
        return ()
    table = clusters.reshape(-1, 1) if clusters.ndim == 1 else clusters
    if table.ndim != 2 or len(table) != rows:
        raise NotComparable("clusters must have one entry a row")
    return tuple(group_codes(table[:, way]) for way in range(table.shape[1]))
