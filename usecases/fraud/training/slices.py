"""Parts of the held-out rows that people ask about: how large, of which kind, how new."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.usecase.serving import FloatMatrix
from usecases.fraud.features.catalogue import FEATURE_SET

Mask = npt.NDArray[np.bool_]

AMOUNT_BANDS = 4
TYPES_SHOWN = 6
NEW_DAYS = 30
"""A customer seen for fewer days than the longest window has no full history yet."""


def slices_of(held_out: pl.DataFrame, features: FloatMatrix) -> Mapping[str, Mask]:
    """Name -> rows; bands and types cover every row, newness only some."""
    seen = features[:, FEATURE_SET.names.index("days_since_first_seen")]
    is_new = np.isnan(seen) | (seen < NEW_DAYS)
    return {
        **_amount_bands(held_out["amount"].to_numpy()),
        **_types(held_out["transaction_type"]),
        f"customer first seen within {NEW_DAYS} days": is_new,
    }


def _amount_bands(amounts: npt.NDArray[np.float64]) -> dict[str, Mask]:
    """Bands that hold about as many rows each."""
    shares = np.linspace(0, 1, AMOUNT_BANDS + 1)[1:-1]
    edges = np.unique(np.round(np.quantile(amounts, shares), 2)) if len(amounts) else np.zeros(0)
    bands: dict[str, Mask] = {}
    low = -np.inf
    for high in [*edges.tolist(), np.inf]:
        inside = (amounts > low) & (amounts <= high)
        if inside.any():
            bands[_band_name(low, high)] = inside
        low = high
    return bands


def _band_name(low: float, high: float) -> str:
    if np.isinf(low):
        return f"amount up to {high:.2f}"
    return f"amount over {low:.2f}" if np.isinf(high) else f"amount {low:.2f} to {high:.2f}"


def _types(types: pl.Series) -> dict[str, Mask]:
    """The most frequent types, the rest together; nothing where all rows are of one type."""
    counts = types.value_counts(sort=True)["transaction_type"].to_list()
    if len(counts) < 2:
        return {}
    shown = {f"type {name}": (types == name).to_numpy() for name in counts[:TYPES_SHOWN]}
    rest = types.is_in(counts[TYPES_SHOWN:]).to_numpy()
    return {**shown, "other types": rest} if rest.any() else shown
