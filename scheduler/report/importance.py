"""Permutation importance: what the served graph loses when a column is shuffled.

Measured on held-out rows, in area under the ROC curve: the area does not depend on how many
rows of each class are examined, so a sample that keeps the rare class stays honest.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scheduler.report.data import Floats, Importance
from scheduler.statistics.delong import auc_with_influence
from scheduler.statistics.sample import Bools, Codes
from shared.usecase.serving import FloatMatrix

Score = Callable[[FloatMatrix], Floats]

MAX_POSITIVES, MAX_NEGATIVES = 250, 750
REPEATS = 2


def sample_rows(positive: Bools, rng: np.random.Generator) -> Codes:
    """Rows to examine: some of each class, in a fixed order for a fixed seed."""
    parts = []
    for mask, most in ((positive, MAX_POSITIVES), (~positive, MAX_NEGATIVES)):
        rows = np.flatnonzero(mask)
        parts.append(rng.choice(rows, min(most, len(rows)), replace=False))
    return np.sort(np.concatenate(parts)).astype(np.int64)


def importances(
    score: Score,
    matrix: FloatMatrix,
    positive: Bools,
    columns: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
) -> tuple[Importance, ...]:
    """For each named set of columns what shuffling it costs, the costliest first."""
    whole, _ = auc_with_influence(score(matrix), positive)
    found = []
    for name, places in columns.items():
        lost = [whole - _shuffled(score, matrix, positive, places, rng) for _ in range(REPEATS)]
        found.append(Importance(name, float(np.mean(lost)), min(lost), max(lost)))
    return tuple(sorted(found, key=lambda item: -item.loss))


def _shuffled(
    score: Score,
    matrix: FloatMatrix,
    positive: Bools,
    places: Sequence[int],
    rng: np.random.Generator,
) -> float:
    """The area when these columns, kept together, come from other rows."""
    changed = matrix.copy()
    changed[:, places] = matrix[rng.permutation(len(matrix))][:, places]
    return auc_with_influence(score(changed), positive)[0]
