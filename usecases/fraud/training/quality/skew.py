"""Training-serving skew: features as they were served against the same ones recomputed."""

import numpy as np
import numpy.typing as npt
import polars as pl

from learning.dataset.mapped import passes
from learning.dataset.scanned import Snapshot
from shared.quality.finding import Finding, Number
from shared.usecase.serving import FloatMatrix

from .feature_context import FeatureContext

MIN_COMPARED = 50
TOLERANCE = 1e-3
"""Relative to the larger of 1 and the value: rounding is not skew."""

TOLD = 3


def skewed_features(snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """One finding for all features: they mostly go wrong together."""
    served, recomputed = _side_by_side(snapshot, context)
    if len(served) < MIN_COMPARED:
        return []
    words = [name in context.categories for name in context.served.names]
    # codes of categories must be equal
    tolerance = np.where(words, 0.0, TOLERANCE)
    wrong = ~np.isclose(served, recomputed, rtol=tolerance, atol=tolerance, equal_nan=True)
    shares = wrong.mean(axis=0)
    names = context.served.names
    bad = [int(place) for place in np.argsort(-shares, kind="stable")]
    bad = [place for place in bad if shares[place] > context.policy.max_skewed_share]
    if not bad:
        return []
    listed = ", ".join(f"{names[place]} in {shares[place]:.0%}" for place in bad[:TOLD])
    says = f"differs from the recomputed value in {shares[bad[0]]:.0%} of {len(served)} served rows"
    numbers: dict[str, Number] = {
        "share": float(shares[bad[0]]),
        "compared": len(served),
        "features": len(bad),
        "example": _example(served, recomputed, wrong, bad[0]),
    }
    return [Finding("served_features_differ", names[bad[0]], f"{says} ({listed})", numbers)]


def infinite_features(_snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """Unknown is NaN; an infinite feature is an unhandled division by zero."""
    # the sum of a column is finite or NaN unless it holds an infinity or overflows
    sums = np.zeros(len(context.names))
    for part in passes(context.matrix):
        sums += part.sum(axis=0, dtype=np.float64)
    suspects = np.flatnonzero(~np.isfinite(sums))
    infinite = np.zeros(len(suspects), dtype=np.int64)
    for part in passes(context.matrix) if len(suspects) else ():
        infinite += np.isinf(part[:, suspects]).sum(axis=0)
    counts = {int(place): int(count) for place, count in zip(suspects, infinite, strict=True)}
    return [
        Finding(
            "feature_infinite",
            context.names[place],
            f"is infinite in {count} rows",
            {"rows": count},
        )
        for place, count in counts.items()
        if count
    ]


def _side_by_side(snapshot: Snapshot, context: FeatureContext) -> tuple[FloatMatrix, FloatMatrix]:
    """Served and recomputed vectors of the same rows, the same columns."""
    served = context.served
    ids = pl.DataFrame(
        {"transaction_id": served.transaction_ids}, schema={"transaction_id": pl.String}
    ).with_row_index("place")
    rows = snapshot.lazy().select("transaction_id").with_row_index("row")
    both = rows.join(ids.lazy(), on="transaction_id", how="inner").collect()
    columns = np.array([context.names.index(name) for name in served.names], dtype=np.int64)
    recomputed = context.matrix[np.ix_(both["row"].to_numpy(), columns)]
    return served.matrix[both["place"].to_numpy()], recomputed


def _example(
    served: FloatMatrix,
    recomputed: FloatMatrix,
    wrong: npt.NDArray[np.bool_],
    place: int,
) -> str:
    row = int(np.argmax(wrong[:, place]))
    return f"served {served[row, place]:g}, recomputed {recomputed[row, place]:g}"
