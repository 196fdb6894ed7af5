"""Reference distributions of a candidate's training rows: what drift is measured against."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.usecase.learning import Labels
from shared.usecase.serving import FloatMatrix

BINS = 10
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# Quantiles of a million rows are no better than those of these many.
MAX_ROWS = 100_000


def describe_training(
    matrix: FloatMatrix,
    labels: Labels,
    feature_names: Sequence[str],
    scores: Mapping[str, npt.NDArray[np.float64]],
) -> dict[str, Any]:
    """JSON-ready, a few hundred bytes a feature."""
    step = -(-len(matrix) // MAX_ROWS)
    sample = matrix[::step]
    return {
        "rows": len(matrix),
        "positive_share": float(np.mean(labels == 1)),
        "features": {
            name: describe(sample[:, position]) for position, name in enumerate(feature_names)
        },
        "scores": {name: describe(values) for name, values in scores.items()},
    }


def describe(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Moments, quantiles, and shares of bins that each hold about as many rows.

    `edges` are the inner limits: bin i holds edges[i-1] < x <= edges[i].
    """
    known = values[np.isfinite(values)].astype(np.float64)
    missing = 1.0 - len(known) / max(len(values), 1)
    if not len(known):
        return {"missing": missing, "edges": [], "shares": []}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1)
    return {
        "missing": missing,
        "mean": float(known.mean()),
        "std": float(known.std()),
        "min": float(known.min()),
        "max": float(known.max()),
        "quantiles": {
            str(share): float(value)
            for share, value in zip(_QUANTILES, np.quantile(known, _QUANTILES), strict=True)
        },
        "edges": edges.tolist(),
        "shares": (counts / counts.sum()).tolist(),
    }
