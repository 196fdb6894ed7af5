"""Parts of the traffic on which a candidate must do no harm: how large, of which kind, how new.

A part without positives cannot be measured, and what cannot be measured is never promoted.
So parts are joined with their neighbours until each holds enough of both classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.usecase.serving import FloatMatrix

from ..features.catalogue import FEATURE_SET

Mask = npt.NDArray[np.bool_]

AMOUNT_BANDS = 4
TYPES_SHOWN = 6
NEW_DAYS = 30
"""A customer seen for fewer days than the longest window has no full history yet."""
MIN_EACH = 10
"""Positives, and negatives, that a part needs to be compared by."""


def slices_of(held_out: pl.DataFrame, features: FloatMatrix) -> Mapping[str, Mask]:
    """Name -> rows; bands and types cover every row, newness only some.

    Nothing where even the whole holds too few of one class to be measured.
    """
    positive = (held_out["label"] == 1).fill_null(value=False).to_numpy()
    if not _measurable(np.ones(len(positive), dtype=np.bool_), positive):
        return {}
    seen = features[:, FEATURE_SET.names.index("days_since_first_seen")]
    return {
        **_amount_bands(held_out["amount"].to_numpy(), positive),
        **_types(held_out["transaction_type"], positive),
        **_newest(np.nan_to_num(seen, nan=0.0), positive),
    }


def _measurable(rows: Mask, positive: Mask) -> bool:
    high = int(np.count_nonzero(positive[rows]))
    return min(high, int(np.count_nonzero(rows)) - high) >= MIN_EACH


def _amount_bands(amounts: npt.NDArray[np.float64], positive: Mask) -> dict[str, Mask]:
    """Bands that hold about as many rows each, joined upwards until each is measurable."""
    shares = np.linspace(0, 1, AMOUNT_BANDS + 1)[1:-1]
    cuts = np.unique(np.round(np.quantile(amounts, shares), 2)).tolist()
    edges = [-np.inf]
    for cut in cuts:
        here, rest = (amounts > edges[-1]) & (amounts <= cut), amounts > cut
        if _measurable(here, positive) and _measurable(rest, positive):
            edges.append(cut)
    bounds = zip(edges, [*edges[1:], np.inf], strict=True)
    return {_band_name(low, high): (amounts > low) & (amounts <= high) for low, high in bounds}


def _band_name(low: float, high: float) -> str:
    if np.isinf(low):
        return "amounts of any size" if np.isinf(high) else f"amount up to {high:.2f}"
    return f"amount over {low:.2f}" if np.isinf(high) else f"amount {low:.2f} to {high:.2f}"


def _types(types: pl.Series, positive: Mask) -> dict[str, Mask]:
    """The most frequent types, all others together; nothing where there would be one part."""
    counts = types.value_counts(sort=True)["transaction_type"].to_list()
    masks = {name: (types == name).to_numpy() for name in counts[:TYPES_SHOWN]}
    shown = [name for name in masks if _measurable(masks[name], positive)]
    while shown:
        others = _all_but([masks[name] for name in shown])
        if not others.any() or _measurable(others, positive):
            break
        shown.pop()
    if not shown or (len(shown) == 1 and not others.any()):
        return {}
    found = {f"type {name}": masks[name] for name in shown}
    return {**found, "other types": others} if others.any() else found


def _all_but(masks: Sequence[Mask]) -> Mask:
    covered: Mask = np.logical_or.reduce(masks)
    return ~covered


def _newest(days_seen: npt.NDArray[np.floating], positive: Mask) -> dict[str, Mask]:
    """Customers of the last month; where they are too few, those of the last two, and so on.

    Nothing where that ends with everybody: the whole is compared anyway.
    """
    days = NEW_DAYS
    while not _measurable(days_seen < days, positive):
        days += NEW_DAYS
    newest = days_seen < days
    return {} if newest.all() else {f"customer first seen within {days} days": newest}
