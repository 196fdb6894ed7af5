"""The split of a declared snapshot into training and held-out rows, and the slices of the latter.

The newest matured rows are held out, or a share of entities.

Without a time no future can be held out. Then whole entities are, by a hash of their name: rows
that depend on each other are never on both sides, and an entity always stays on its side.
"""

from collections.abc import Mapping
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.rows.declaration import Declaration
from shared.rows.quantities import SliceRule
from shared.usecase.learning import Split

_BYTES = 8
_LARGEST = 2.0 ** (8 * _BYTES)
LARGEST_HELD_OUT_SHARE = 0.35
"""The largest share of the labelled time that is held out: the rest is for training."""

Positions = npt.NDArray[np.int64]


def split_rows(snapshot: pl.DataFrame, as_of_us: int, declared: Declaration) -> Split:
    """Positions of labelled rows to learn from, and of those to judge on."""
    held_out = declared.held_out
    if held_out.share is not None:
        return _by_entity(snapshot, held_out.share)
    return _by_time(snapshot, as_of_us, declared, held_out.duration_us or 0)


def _by_time(
    snapshot: pl.DataFrame, as_of_us: int, declared: Declaration, duration_us: int
) -> Split:
    times = snapshot["event_time"]
    labelled = snapshot["label"].is_not_null()
    delay_us = declared.row_schema.roles.delay_us
    matured = times.filter(labelled & (times <= as_of_us - delay_us))
    if matured.is_empty():
        return Split(_nowhere(), _nowhere())
    first, last = int(matured.min()), int(matured.max())  # type: ignore[arg-type]
    begin = last - min(duration_us, round((last - first) * LARGEST_HELD_OUT_SHARE))
    window_us = declared.train.window
    oldest = first if window_us is None else begin - window_us
    # train only on labels that were known when the held-out window began
    known = snapshot["label_known_at"] <= begin
    is_train = labelled & known & times.is_between(oldest, begin - delay_us)
    is_held_out = labelled & (times > begin) & (times <= last)
    return Split(_where(is_train), _where(is_held_out))


def _by_entity(snapshot: pl.DataFrame, share: float) -> Split:
    entities = snapshot["entity"].unique()
    chosen = [name for name in entities if _place(name) < share]
    labelled = snapshot["label"].is_not_null()
    is_held_out = snapshot["entity"].is_in(chosen)
    train, held_out = _where(labelled & ~is_held_out), _where(labelled & is_held_out)
    return Split(train, held_out, is_by_time=False)


def _place(entity: str) -> float:
    """The fixed place of an entity in [0, 1)."""
    digest = blake2b(entity.encode(), digest_size=_BYTES, person=b"held out").digest()
    return int.from_bytes(digest) / _LARGEST


def _where(mask: pl.Series) -> Positions:
    return mask.fill_null(value=False).arg_true().to_numpy().astype(np.int64)


def _nowhere() -> Positions:
    return np.empty(0, dtype=np.int64)


MOST_WORDS = 12
MIN_ROWS = 50
MIN_OF_A_CLASS = 10

Mask = npt.NDArray[np.bool_]


def slices_of(held_out: pl.DataFrame, declared: Declaration) -> Mapping[str, Mask]:
    """Name -> rows; parts with too little to compare are omitted."""
    found: dict[str, Mask] = {}
    for rule in declared.judge.slices:
        found |= _bands(held_out, rule) if rule.parts else _words(held_out, rule.column)
    is_classified = declared.row_schema.task.is_classification
    labels = held_out["label"].to_numpy()
    return {name: mask for name, mask in found.items() if _can_be_compared(
        labels[mask], len(mask), is_classified=is_classified)}  # fmt: skip


def _can_be_compared(labels: npt.NDArray[np.generic], rows: int, *, is_classified: bool) -> bool:
    # a slice of all rows is compared anyway
    if len(labels) < MIN_ROWS or len(labels) == rows:
        return False
    if not is_classified:
        return True
    counts = np.unique(labels, return_counts=True)[1]
    return len(counts) > 1 and int(counts.min()) >= MIN_OF_A_CLASS


def _words(rows: pl.DataFrame, column: str) -> dict[str, Mask]:
    texts = rows[column].cast(pl.String)
    frequent = texts.drop_nulls().value_counts(sort=True).head(MOST_WORDS)[column].to_list()
    return {
        f"{column} = {word}": (texts == word).fill_null(value=False).to_numpy() for word in frequent
    }


def _bands(rows: pl.DataFrame, rule: SliceRule) -> dict[str, Mask]:
    values = rows[rule.column].cast(pl.Float64).to_numpy()
    known = values[~np.isnan(values)]
    if not len(known):
        return {}
    shares = np.linspace(0, 1, (rule.parts or 1) + 1)[1:-1]
    edges = [-np.inf, *np.unique(np.quantile(known, shares)).tolist(), np.inf]
    return {
        _band_name(rule.column, low, high): (values > low) & (values <= high)
        for low, high in pairwise(edges)
    }


def _band_name(column: str, low: float, high: float) -> str:
    if np.isinf(low):
        return f"{column} up to {high:g}"
    return f"{column} over {low:g}" if np.isinf(high) else f"{column} {low:g} to {high:g}"
