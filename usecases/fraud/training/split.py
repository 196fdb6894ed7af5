"""Past and later past: what is learned from ends a label delay before what is judged on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from learning.dataset.scanned import Snapshot
from shared.clock import MICROS_PER_DAY, isoformat
from shared.errors import TrainingFailed
from shared.usecase.learning import Split

from .policy import SplitPolicy

# The window grows by whole days, so that no partial day is held out.
GROWTH_US = MICROS_PER_DAY


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
