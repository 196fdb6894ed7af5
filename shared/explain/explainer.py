"""Contributions of a row's features to its score: of one ensemble of trees, or of a sum of several.

They add up: the expected score of a training row plus all contributions is the row's raw score.
The raw score of a binary task is the log-odds of the positive class, of multiclass one number
for each class before the softmax, of a regression the value itself (its logarithm where the
model has a log link).

Boosting alone is explained in log-odds. A blend is explained in the score itself: what adds up by
itself does, and exact contributions to a log-odds are brought to probability by one factor a row,
the change of the sigmoid by that of the log-odds from an expected row to this one. So all
contributions and the expected score make the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.explain.ensemble import (
    Ensemble,
    Floats,
    NotExplainable,
    read_ensemble,
    refuse_made_up_covers,
)
from shared.explain.parts import EnsemblePart, read_parts, undone
from shared.explain.paths import Paths, paths_of
from shared.explain.tree_shap import (
    PathTable,
    add_contributions,
    add_contributions_of_rows,
    expected_value,
    table_of,
)
from shared.usecase.serving import FloatMatrix, FloatVector


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


_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class BlendExplainer:
    """Explains one version; thread-safe, since nothing is kept between calls."""

    names: tuple[str, ...]
    expected: Floats
    parts: tuple[EnsemblePart, ...]
    is_blend: bool

    @classmethod
    def of(cls, graph: bytes, names: Sequence[str], components: Sequence[str]) -> "BlendExplainer":
        """The explainer of the first component of a served graph.

        Raises:
            NotExplainable: not all of its score is made of trees.
        """
        found, first = read_parts(graph, names, components), components[0]
        if first in found.unexplained:
            raise NotExplainable(found.unexplained[first])
        parts = tuple(part for part in found.parts if first in part.components)
        if not parts or any(part.weight is None for part in parts):
            raise NotExplainable("its score is not a sum of the outputs of trees")
        is_blend = len(parts) > 1 or parts[0].weight != 1.0
        nowhere = np.full(len(names), np.nan, dtype=np.float32)
        expected = sum(_expected(part, nowhere, in_score=is_blend) for part in parts)
        return cls(tuple(names), np.array([expected]), parts, is_blend)

    @property
    def nodes(self) -> int:
        """The size of all trees."""
        return sum(len(part.ensemble.nodes.feature) for part in self.parts)

    def contributions(self, row: FloatVector, target: int = 0) -> Floats:
        """One number a feature; with `expected[target]` they add up to the raw score."""
        place = {name: at for at, name in enumerate(self.names)}
        found = np.zeros(len(self.names))
        for part in self.parts:
            said = part.explained(row, target)
            factor = _slope(part, said.expected, said.raw) if self.is_blend else 1.0
            for name, contribution in said.contributions.items():
                found[place[name]] += factor * contribution
        return found


def _expected(part: EnsemblePart, row: FloatVector, *, in_score: bool) -> float:
    expected = part.explained(row).expected
    return (part.weight or 0.0) * undone(part.scale, expected) if in_score else expected


def _slope(part: EnsemblePart, expected: float, raw: float) -> float:
    """The slope of the score in a part's raw score, between an expected row and this one."""
    weight = part.weight or 0.0
    if abs(raw - expected) < _NEAR:
        # the derivative, by a finite difference with a step that a float can represent
        expected, raw = expected - _STEP, raw + _STEP
    return weight * (undone(part.scale, raw) - undone(part.scale, expected)) / (raw - expected)


_STEP = 1e-5
