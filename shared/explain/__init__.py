"""Why a model answers what it answers: exact contributions of features, read from its graph."""

from shared.explain.ensemble import NotExplainable
from shared.explain.explainer import Explainer, Reason
from shared.explain.parts import Part, PartOfScore, Parts, read_parts

__all__ = ["Explainer", "NotExplainable", "Part", "PartOfScore", "Parts", "Reason", "read_parts"]
