"""Why a model answers what it answers: exact contributions of features, read from its graph."""

from shared.explain.ensemble import NotExplainable
from shared.explain.explainer import Explainer, Reason

__all__ = ["Explainer", "NotExplainable", "Reason"]
