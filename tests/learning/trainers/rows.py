"""Rows of mixed columns with a known relation to labels of every task."""

import numpy as np
import numpy.typing as npt

from learning.trainers.request import InputColumn, Recipe, TrainingRequest
from shared.tasks import Task, TaskKind
from shared.usecase.serving import FloatMatrix

CITIES = {float(code): f"city {place}" for place, code in enumerate(range(1_000, 400_000, 9_999))}
PLANS = {0.0: "basic", 1.0: "plus", 2.0: "premium", 3.0: "gift"}
COLUMNS = (
    InputColumn("age"),
    InputColumn("city", is_category=True, words=CITIES),
    InputColumn("plan", is_category=True, words=PLANS),
    InputColumn("income"),
)
TASKS = {
    TaskKind.BINARY: Task.binary("yes", "no"),
    TaskKind.MULTICLASS: Task.multiclass(["low", "middle", "high", "never"]),
    TaskKind.REGRESSION: Task.regression(),
}


def matrix_of(rows: int, seed: int = 0) -> FloatMatrix:
    """Numbers, words of an open category with a long tail, words of a closed one; some missing."""
    rng = np.random.default_rng(seed)
    codes = np.array(sorted(CITIES))
    matrix = np.column_stack(
        [
            rng.normal(40, 12, rows),
            codes[np.minimum(rng.geometric(0.08, rows) - 1, len(codes) - 1)],
            rng.integers(0, 3, rows),
            rng.lognormal(7, 1, rows),
        ]
    ).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    return matrix


def strange_rows() -> FloatMatrix:
    """Unseen words, extreme values, nothing at all, a class that never occurred."""
    matrix = matrix_of(400, seed=9)
    matrix[:50, 1] = np.arange(50) * 331 + 7
    matrix[50:60, 0], matrix[60:70, 3] = 1e30, -1e30
    matrix[70:80, 2] = 3.0
    matrix[80:90] = np.nan
    return matrix


def labels_of(kind: TaskKind, matrix: FloatMatrix, seed: int = 0) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    known = np.nan_to_num(matrix)
    signal = (known[:, 0] - 40) / 12 + 1.5 * np.sin(known[:, 1]) + (known[:, 2] == 1)
    noisy = signal + rng.normal(0, 0.7, len(matrix))
    if kind is TaskKind.BINARY:
        return np.asarray(noisy > 1, dtype=np.float64)
    if kind is TaskKind.MULTICLASS:
        return np.asarray(np.digitize(noisy, [-0.5, 1.0]), dtype=np.float64)
    return np.asarray(250.0 + 20.0 * noisy)


def request_for(
    kind: TaskKind, *models: str, rows: int = 2_000, outlier: bool = False
) -> TrainingRequest:
    matrix = matrix_of(rows)
    recipes = tuple(Recipe(model) for model in models) or (Recipe(settings={"iterations": 30}),)
    labels = labels_of(kind, matrix)
    return TrainingRequest(
        TASKS[kind], matrix, labels, COLUMNS, "1", recipes=recipes, outlier=outlier
    )
