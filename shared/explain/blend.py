"""Contributions to the first score of a graph of several parts, one row at a time.

Boosting alone is explained in log-odds. A blend is explained in the score itself: what adds up by
itself does, and exact contributions to a log-odds are brought to probability by one factor a row,
the change of the sigmoid by that of the log-odds from an expected row to this one. So all
contributions and the expected score make the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.explain.ensemble import Floats, NotExplainable
from shared.explain.parts import EnsemblePart, read_parts, undone
from shared.usecase.serving import FloatVector

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
