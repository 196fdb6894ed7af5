"""Permutation importance: what the served graph loses when a column is shuffled.

Measured on held-out rows. Of a binary task in area under the ROC curve: the area does not depend on
how many rows of each class are examined, so a sample that keeps the rare class stays honest. Of
another task in the metric that decides.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scheduler.report.data import Importance
from scheduler.report.task_views import Floats
from scheduler.statistics.ranking import auc_with_influence
from scheduler.statistics.sample import Bools, Codes
from shared.usecase.serving import FloatMatrix

Score = Callable[[FloatMatrix], Floats]
Value = Callable[[FloatMatrix], float]

MAX_POSITIVES, MAX_NEGATIVES = 250, 750
REPEATS = 2


def sample_rows(positive: Bools, rng: np.random.Generator) -> Codes:
    """Rows to examine: some of each class, in a fixed order for a fixed seed."""
    parts = []
    for mask, most in ((positive, MAX_POSITIVES), (~positive, MAX_NEGATIVES)):
        rows = np.flatnonzero(mask)
        parts.append(rng.choice(rows, min(most, len(rows)), replace=False))
    return np.sort(np.concatenate(parts)).astype(np.int64)


def sample_of(count: int, rng: np.random.Generator) -> Codes:
    """Rows of another task than the binary one, in order."""
    most = min(count, MAX_POSITIVES + MAX_NEGATIVES)
    return np.sort(rng.choice(count, most, replace=False)).astype(np.int64)


def importances(
    score: Score,
    matrix: FloatMatrix,
    positive: Bools,
    columns: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
) -> tuple[Importance, ...]:
    """The AUC lost by shuffling each named set of columns, largest loss first."""

    def area(changed: FloatMatrix) -> float:
        return auc_with_influence(score(changed), positive)[0]

    return importances_by(area, matrix, columns, rng)


def importances_by(
    value: Value,
    matrix: FloatMatrix,
    columns: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
) -> tuple[Importance, ...]:
    """The same by any value of which more is better."""
    whole = value(matrix)
    found = []
    for name, places in columns.items():
        lost = [whole - value(_shuffled(matrix, places, rng)) for _ in range(REPEATS)]
        found.append(Importance(name, float(np.mean(lost)), min(lost), max(lost)))
    return tuple(sorted(found, key=lambda item: -item.loss))


def _shuffled(matrix: FloatMatrix, places: Sequence[int], rng: np.random.Generator) -> FloatMatrix:
    """The rows with these columns, kept together, of other rows."""
    changed = matrix.copy()
    changed[:, places] = matrix[rng.permutation(len(matrix))][:, places]
    return changed
