"""Reasons of a model's answers: exact contributions of features, read from its graph."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from native.precompile import call_precompiled
from shared.explain.ensemble import Ensemble, Floats, Nodes, NotExplainable
from shared.explain.explainer import BlendExplainer, Explainer, Reason
from shared.explain.parts import EnsemblePart, PartOfScore, ScoreParts, read_parts
from shared.usecase.serving import FloatVector

__all__ = [
    "EnsemblePart",
    "Explainer",
    "Explains",
    "NotExplainable",
    "PartOfScore",
    "Reason",
    "ScoreParts",
    "explainer_of",
    "load_compiled",
    "read_parts",
    "warm_up",
]


class Explains(Protocol):
    """Explains one version; safe to be used by threads."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def expected(self) -> Floats:
        """The expected raw score of a training row, by target."""
        ...

    @property
    def nodes(self) -> int:
        """The size of its trees, which decides how long an explanation takes."""
        ...

    def contributions(self, row: FloatVector, target: int = 0) -> Floats:
        """One number a feature; with `expected[target]` they add up to the raw score."""
        ...


def explainer_of(graph: bytes, names: Sequence[str], components: Sequence[str]) -> Explains:
    """The explainer of a served graph, whose features and scores have these names in order.

    Raises:
        NotExplainable: its scores are neither those of one tree ensemble nor a sum of several.
    """
    try:
        return Explainer.of(graph, names)
    except NotExplainable as single:
        try:
            return BlendExplainer.of(graph, names, components)
        except NotExplainable:
            raise single from None


def warm_up() -> None:
    """Have the compiled functions on disk before the first explanation needs them."""
    call_precompiled(load_compiled)


def load_compiled() -> None:
    """Call each compiled function that explanations call, on one tree with one question."""
    leaves = np.array([False, True, True])
    nodes = Nodes(
        feature=np.zeros(3, dtype=np.int32),
        threshold=np.zeros(3, dtype=np.float32),
        is_equality=np.zeros(3, dtype=np.bool_),
        is_leaf=leaves,
        left=np.array([1, 0, 0], dtype=np.int32),
        right=np.array([2, 0, 0], dtype=np.int32),
        missing_left=np.zeros(3, dtype=np.bool_),
        cover=np.array([2.0, 1.0, 1.0]),
        value=np.array([0.0, -1.0, 1.0]),
    )
    place = np.zeros(1, dtype=np.int32)
    ensemble = Ensemble(nodes, place, place, np.zeros(1), b"")
    row = np.zeros(1, dtype=np.float32)
    Explainer.of_ensemble(ensemble, ("feature",)).contributions_of(row.reshape(1, 1))
    EnsemblePart("", (), "identity", None, ensemble, ("feature",)).explained(row)
