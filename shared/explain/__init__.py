"""Reasons of a model's answers: exact contributions of features, read from its graph."""

from collections.abc import Sequence
from typing import Protocol

from shared.explain.blend import BlendExplainer
from shared.explain.ensemble import Floats, NotExplainable
from shared.explain.explainer import Explainer, Reason
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
    "read_parts",
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
