"""Contributions of a row's features to its score.

They add up: the expected score of a training row plus all contributions is the row's raw score.
The raw score of a binary task is the log-odds of the positive class, of multiclass one number
for each class before the softmax, of a regression the value itself (its logarithm where the
model has a log link).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.explain.ensemble import Ensemble, read_ensemble, refuse_made_up_covers
from shared.explain.paths import Paths, paths_of
from shared.explain.tree_shap import (
    PathTable,
    add_contributions,
    add_contributions_of_rows,
    expected_value,
    table_of,
)
from shared.usecase.serving import FloatMatrix, FloatVector

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reason:
    """One feature's part in an answer; positive: it raised the score."""

    feature: str
    value: float | None
    contribution: float


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains one version; thread-safe, since nothing is kept between calls."""

    ensemble: Ensemble
    paths: Paths
    expected: Floats
    names: tuple[str, ...]
    _tables: tuple[PathTable, ...]

    @classmethod
    def of(cls, graph: bytes, names: Sequence[str]) -> "Explainer":
        """The explainer of a served graph, whose features have these names in order.

        Raises:
            NotExplainable: the scores are not those of one tree ensemble.
        """
        ensemble = read_ensemble(graph)
        refuse_made_up_covers(ensemble.nodes)
        return cls.of_ensemble(ensemble, names)

    @classmethod
    def of_ensemble(cls, ensemble: Ensemble, names: Sequence[str]) -> "Explainer":
        """The explainer of these trees; its compiled functions are loaded."""
        paths = paths_of(ensemble)
        trees = tuple(
            np.flatnonzero(ensemble.target == target) for target in range(len(ensemble.base))
        )
        expected = [
            base + expected_value(paths, of_target)
            for base, of_target in zip(ensemble.base, trees, strict=True)
        ]
        at, values = table_of(paths)
        tables = tuple(PathTable(of_target, at, values) for of_target in trees)
        made = cls(ensemble, paths, np.array(expected), tuple(names), tables)
        made.contributions(np.zeros(len(made.names), dtype=np.float32))  # compiles the kernel
        return made

    @property
    def nodes(self) -> int:
        """The size of the trees, which decides how long an explanation takes."""
        return len(self.ensemble.nodes.feature)

    def contributions(self, row: FloatVector, target: int = 0) -> Floats:
        """One number a feature; with `expected[target]` they add up to the raw score."""
        found = np.zeros(len(self.names))
        add_contributions(self.ensemble.nodes, self.paths, self._tables[target], row, found)
        return found

    def contributions_of(self, rows: FloatMatrix, target: int = 0) -> Floats:
        """The same for many rows, (rows, features)."""
        found = np.zeros((len(rows), len(self.names)))
        matrix = np.ascontiguousarray(rows)
        add_contributions_of_rows(
            self.ensemble.nodes, self.paths, self._tables[target], matrix, found
        )
        return found

    def reasons(self, row: FloatVector, most: int, target: int = 0) -> list[Reason]:
        """The largest contributions to an answer, the largest first; fewer where others are 0.

        `target` is the position of the answered class for multiclass, else 0. The first of two
        classes has no trees; the caller negates the second one's contributions.
        """
        found = self.contributions(row, target)
        order = np.argsort(-np.abs(found), kind="stable")[:most]
        return [
            Reason(
                self.names[place],
                None if np.isnan(row[place]) else float(row[place]),
                float(found[place]),
            )
            for place in order
            if found[place] != 0.0
        ]

    def importance(self, rows: FloatMatrix) -> dict[str, float]:
        """Mean absolute contribution of every feature over rows and targets, largest first."""
        sums = np.zeros(len(self.names))
        for target in range(len(self._tables)):
            sums += np.abs(self.contributions_of(rows, target)).mean(axis=0)
        means = sums / len(self._tables)
        order = np.argsort(-means, kind="stable")
        return {self.names[place]: float(means[place]) for place in order}
