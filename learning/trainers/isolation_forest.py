"""The isolation forest on its own clipped features, exported as one ONNX tree node."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest

from learning.export.graph import INPUT, Builder
from learning.export.trees import Ints, SummedTrees, ensemble_node, from_forest_tree
from shared.usecase.serving import FloatMatrix, FloatVector

_EULER_GAMMA = float(np.euler_gamma)
_THREADS = 2


class ForestParameters(Protocol):
    """The numbers of an isolation forest.

    Attributes:
        clip_share: share of each tail that is clipped; otherwise trees split on extremes only.
    """

    @property
    def trees(self) -> int: ...

    @property
    def max_samples(self) -> int: ...

    @property
    def max_rows(self) -> int: ...

    @property
    def clip_share(self) -> float: ...


@dataclass(frozen=True, slots=True)
class DefaultForest:
    """The default of a use case that declares none."""

    trees: int = 40
    max_samples: int = 1_024
    max_rows: int = 200_000
    clip_share: float = 0.0005


@dataclass(frozen=True, slots=True)
class FittedIsolationForest:
    """Score: 2 ** -(mean path / usual path), in (0, 1]; higher is more unusual.

    That is `-score_samples` of scikit-learn, not `decision_function`.
    """

    forest: Any
    columns: Ints
    low: FloatVector
    high: FloatVector

    def score(self, matrix: FloatMatrix) -> npt.NDArray[np.float64]:
        clipped = np.clip(matrix[:, self.columns], self.low, self.high)
        unusual: npt.NDArray[np.float64] = -self.forest.score_samples(clipped)
        return unusual

    def clipped(self, matrix: FloatMatrix) -> FloatMatrix:
        """The rows as the forest sees them; one beyond the range may come to lie on a split."""
        seen = matrix.copy()
        seen[:, self.columns] = np.clip(matrix[:, self.columns], self.low, self.high)
        return seen

    def targets(self) -> tuple[SummedTrees]:
        """Minus the mean path length relative to the usual one, as a sum over trees.

        The clipping is not in the graph: every split lies inside the clipped range, so a row
        beyond it goes the same way as the range's end.
        """
        usual = _average_path(np.array([self.forest.max_samples_]))[0]
        scale = -1.0 / (len(self.forest.estimators_) * max(usual, np.finfo(float).tiny))
        trees = []
        for fitted in self.forest.estimators_:
            tree = fitted.tree_
            path = _depths(tree) + _average_path(tree.n_node_samples)
            trees.append(from_forest_tree(tree, path * scale, self.columns))
        return (SummedTrees(trees),)

    def export(self, builder: Builder) -> str:
        builder.nodes.append(ensemble_node(self.targets(), INPUT, "isolation_forest_path"))
        builder.constant("isolation_forest_base", 2.0)
        return builder.add(
            "Pow", ["isolation_forest_base", "isolation_forest_path"], "isolation_forest"
        )


def fit_isolation_forest(
    matrix: FloatMatrix,
    columns: Sequence[int],
    recipe: ForestParameters,
    seed: int,
    usual: Ints | None = None,
) -> FittedIsolationForest:
    """Fit on (a sample of) rows that are not known to be positive: `usual`, or all."""
    chosen = np.asarray(columns, dtype=np.int64)
    rows = np.arange(len(matrix)) if usual is None else usual
    if len(rows) > recipe.max_rows:
        rows = np.sort(np.random.default_rng(seed).choice(rows, recipe.max_rows, replace=False))
    subset = matrix[np.ix_(rows, chosen)]
    tails = (recipe.clip_share, 1.0 - recipe.clip_share)
    low, high = np.nanquantile(subset, tails, axis=0).astype(np.float32)
    forest = IsolationForest(
        n_estimators=recipe.trees,
        max_samples=min(recipe.max_samples, len(rows)),
        n_jobs=_THREADS,
        random_state=seed,
    )
    forest.fit(np.clip(subset, low, high))
    return FittedIsolationForest(forest, chosen, low, high)


def _depths(tree: Any) -> npt.NDArray[np.float64]:
    """Edges between the root and each node; parents come before their children."""
    depths = np.zeros(tree.node_count)
    for node in np.flatnonzero(tree.children_left >= 0):
        depths[tree.children_left[node]] = depths[tree.children_right[node]] = depths[node] + 1
    return depths


def _average_path(samples: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean depth of an unsuccessful search in a binary tree of this many samples."""
    count = np.asarray(samples, dtype=np.float64)
    many = np.maximum(count, 3.0)
    mean = 2.0 * (np.log(many - 1.0) + _EULER_GAMMA) - 2.0 * (many - 1.0) / many
    return np.where(count <= 1, 0.0, np.where(count == 2, 1.0, mean))
