"""A feature that knows the label: alone it ranks the positives better than any model should."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from learning.dataset.scanned import Snapshot
from shared.quality.finding import Finding, Severity

from .feature_context import FeatureContext

MIN_POSITIVES = 30
POSITIVES, NEGATIVES = 5_000, 20_000
"""Sample sizes of the classes with which an AUC is precise to within .002."""

SEED = 0


def leaking_features(snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """Features whose values, or whose absence, give the label away."""
    labels = context.label_of(snapshot).to_numpy()
    rng = np.random.default_rng(SEED)
    positive = _some(rng, context.split.train[labels == 1], POSITIVES)
    negative = _some(rng, context.split.train[labels == 0], NEGATIVES)
    if len(positive) < MIN_POSITIVES or not len(negative):
        return []
    here, there = context.matrix[positive], context.matrix[negative]
    found = []
    for place, name in enumerate(context.names):
        known = auc(here[:, place], there[:, place])
        absent = (1 + abs(np.isnan(here[:, place]).mean() - np.isnan(there[:, place]).mean())) / 2
        best = max(known, 1 - known, float(absent))
        if best > context.policy.max_feature_auc:
            says = f"alone has AUC {best:.4f} for the label, above {context.policy.max_feature_auc}"
            found.append(Finding("label_leakage", name, says, {"auc": best}, Severity.RUIN))
    return found


def auc(positives: npt.NDArray[np.float32], negatives: npt.NDArray[np.float32]) -> float:
    """The chance that a positive has the larger value; one half when too few are known."""
    above = positives[np.isfinite(positives)]
    below = negatives[np.isfinite(negatives)]
    if len(above) < MIN_POSITIVES or not len(below):
        return 0.5
    ranks = rankdata(np.concatenate((above, below)))
    won = ranks[: len(above)].sum() - len(above) * (len(above) + 1) / 2
    return float(won / (len(above) * len(below)))


def _some(
    rng: np.random.Generator, rows: npt.NDArray[np.int64], most: int
) -> npt.NDArray[np.int64]:
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)
