"""The split into training and held-out rows, and the slices in which a candidate must do no harm.

Training rows end a label delay before the held-out ones begin. A slice without positives cannot be
measured, and what cannot be measured is never promoted: slices, by amount, type and age of the
customer, are joined with their neighbours until each holds enough of both classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from learning.dataset.scanned import Snapshot
from shared.clock import MICROS_PER_DAY, isoformat
from shared.errors import TrainingFailed
from shared.usecase.learning import Split
from shared.usecase.serving import FloatMatrix

from ..features.catalogue import FEATURE_SET
from .policy import SplitPolicy

# The window grows by whole days, so that no partial day is held out.
GROWTH_US = MICROS_PER_DAY

Mask = npt.NDArray[np.bool_]
AMOUNT_BANDS = 4
TYPES_SHOWN = 6
NEW_DAYS = 30
"""A customer seen for fewer days than the longest window has no full history yet."""

MIN_EACH = 10
"""Positives, and negatives, that a part needs to be compared by."""


@dataclass(frozen=True, slots=True)
class SplitWindow:
    """Half-open instants of the held-out rows."""

    start_us: int
    end_us: int


def chronological_split(snapshot: Snapshot, as_of_us: int, policy: SplitPolicy) -> Split:
    """Positions of training and held-out rows, each in the order of the snapshot.

    Held-out is the newest window whose labels have had time to arrive. Training rows happened
    a label delay before it starts, and their labels were known when it started: nothing that
    was learned could have been learned from it.

    Raises:
        TrainingFailed: the labelled history is too short, too small or has no positives.
    """
    rows = snapshot.select(
        "event_time",
        "label_known_at",
        labelled=pl.col("label").is_not_null(),
        positive=pl.col("label").fill_null(0) == 1,
    )
    window = _held_out_window(rows, as_of_us, policy)
    happened = pl.col("event_time")
    held_out = happened.is_between(window.start_us, window.end_us, closed="left")
    train_end = window.start_us - policy.label_delay_us
    train_start = train_end - round(policy.train_max_days * MICROS_PER_DAY)
    known_in_time = pl.col("label_known_at") <= window.start_us
    train = happened.is_between(train_start, train_end, closed="left") & known_in_time
    split = Split(
        train=_positions(rows, train & pl.col("labelled")),
        held_out=_positions(rows, held_out & pl.col("labelled")),
    )
    _refuse_too_small(rows, split, window, policy)
    return split


def _held_out_window(rows: pl.DataFrame, as_of_us: int, policy: SplitPolicy) -> SplitWindow:
    """The last matured window, grown backwards until it holds enough positives."""
    labelled = rows.filter("labelled")["event_time"]
    if labelled.is_empty():
        raise TrainingFailed("split: no row has a label that is known")
    first, last = int(labelled.min()), int(labelled.max())  # type: ignore[arg-type]
    end = min(as_of_us - policy.label_delay_us, last) + 1
    longest = round((end - first - policy.label_delay_us) * policy.held_out_max_share)
    if longest <= 0:
        days = (end - first) / MICROS_PER_DAY
        raise TrainingFailed(
            f"split: {max(days, 0.0):.1f} days of matured labels up to {isoformat(end)}; "
            f"more than the label delay of {policy.label_delay_days:g} days are needed"
        )
    length = min(round(policy.held_out_days * MICROS_PER_DAY), longest)
    instants = rows.filter(pl.col("positive") & (pl.col("event_time") < end))["event_time"]
    wanted = policy.held_out_wanted_positives
    newest = np.sort(instants.to_numpy())[::-1]
    if len(newest) >= wanted:
        needed = end - int(newest[wanted - 1])
        length = max(length, -(-needed // GROWTH_US) * GROWTH_US)
    else:
        length = longest
    return SplitWindow(end - min(length, longest), end)


def _positions(rows: pl.DataFrame, condition: pl.Expr) -> npt.NDArray[np.int64]:
    mask = rows.select(condition.fill_null(value=False)).to_series().to_numpy()
    return np.flatnonzero(mask).astype(np.int64)


def _refuse_too_small(
    rows: pl.DataFrame, split: Split, window: SplitWindow, policy: SplitPolicy
) -> None:
    positive = rows["positive"].to_numpy()
    learned = int(positive[split.train].sum())
    judged = int(positive[split.held_out].sum())
    counts = (
        f"{len(split.train)} rows with {learned} positives to learn from, "
        f"{len(split.held_out)} with {judged} to judge on since {isoformat(window.start_us)}"
    )
    if len(split.train) < policy.min_train_rows or learned < policy.min_train_positives:
        raise TrainingFailed(
            f"split: {counts}; at least {policy.min_train_rows} rows and "
            f"{policy.min_train_positives} positives are needed to learn from, out of "
            f"train_max_days = {policy.train_max_days:g}"
        )
    if not len(split.held_out):
        raise TrainingFailed(f"split: {counts}; none to judge on")


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
