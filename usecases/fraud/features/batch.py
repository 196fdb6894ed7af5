"""All features of a whole table at once: sort, code the text, let the kernel run over it."""

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.clock import MICROS_PER_HOUR, MICROS_PER_SECOND
from shared.features.tile_sums import TileColumns, in_chunks, sums_as_of
from shared.features.tiles import TileWindows
from shared.usecase.serving import FloatMatrix

from .catalogue import (
    FEATURE_SET,
    KERNEL_FEATURES,
    LABEL_DELAY_US,
    MAX_PRIOR_ROWS,
)
from .categories import COLUMNS, Words
from .kernel import fill_rows
from .layout import UNKNOWN, Codes, Floats, History, HistoryTable, Micros
from .rows import CELLS_PER_DEGREE

MERCHANT_COLUMNS = ("merchant_id", "event_time", "ingested_at", "label", "label_known_at")
"""The columns that `merchant_sums` reads."""

_COLUMNS = (
    "event_time",
    "ingested_at",
    "amount",
    "merchant_id",
    "merchant_category",
    "country",
    "lat",
    "lon",
    "home_lat",
    "home_lon",
    "device_id",
    "utc_offset_min",
)

USER_COLUMNS = tuple(dict.fromkeys(("transaction_id", "user_id", *_COLUMNS, *COLUMNS)))
"""The columns that `compute_from` reads."""


def compute(
    frame: pl.DataFrame,
    label_delay_us: int = LABEL_DELAY_US,
    max_prior_rows: int = MAX_PRIOR_ROWS,
) -> FloatMatrix:
    """Every feature of every row, (rows, 47), in the order of the frame.

    Each row sees what had been ingested and labelled when it came, never the future: the
    frame may hold all rows and labels known today. Its columns are those of the transaction
    tables; transaction_id must be unique.
    """
    return compute_from(frame, merchant_sums(frame, label_delay_us), max_prior_rows)


def merchant_sums(frame: pl.DataFrame, label_delay_us: int = LABEL_DELAY_US) -> Micros:
    """The sums of each row's merchant as that row could see them, (rows, 6).

    All rows of a merchant have to be in the frame, users may be incomplete.
    """
    return sums_as_of(_tile_columns(frame), TileWindows.behind(label_delay_us))


def compute_from(
    frame: pl.DataFrame, sums: Micros, max_prior_rows: int = MAX_PRIOR_ROWS
) -> FloatMatrix:
    """The features, given the sums: all rows of a user have to be in the frame."""
    matrix = np.empty((frame.height, len(FEATURE_SET.names)), dtype=np.float32)
    table = _table(frame, sums, max_prior_rows)
    merchants = int(table.history.merchant.max(initial=UNKNOWN)) + 1

    def work(start: int, stop: int) -> None:
        fill_rows(table, start, stop, np.zeros(merchants, np.int64), matrix)

    in_chunks(frame.height, work)
    for place, (column, words) in enumerate(COLUMNS.items(), KERNEL_FEATURES):
        matrix[:, place] = word_codes(words, frame[column])
    return matrix


def warm_up() -> None:
    """Compile what `compute` calls, on two rows of one user."""
    texts = {"transaction_id": ["a", "b"], "user_id": ["u", "u"], "merchant_id": ["m", "m"]}
    words = {name: ["", ""] for name in ("device_id", "country", "merchant_category", *COLUMNS)}
    places = {name: [0.0, 1.0] for name in ("lat", "lon", "home_lat", "home_lon", "amount")}
    times = {name: [1, 2] for name in ("event_time", "ingested_at", "label_known_at")}
    rest = {"label": [0, 1], "utc_offset_min": [0, 0]}
    compute(pl.DataFrame({**words, **texts, **places, **times, **rest}))


def _tile_columns(frame: pl.DataFrame) -> TileColumns:
    return TileColumns(
        merchant=_codes(frame["merchant_id"]),
        event_time=_micros(frame["event_time"]),
        ingested_at=_micros(frame["ingested_at"]),
        label=frame["label"].cast(pl.Int8).fill_null(-1).to_numpy().copy(),
        label_known_at=_micros(frame["label_known_at"].fill_null(0)),
    )


def _table(frame: pl.DataFrame, sums: Micros, max_prior_rows: int) -> HistoryTable:
    """The rows in the kernel's order: user by user, then as time went by."""
    user = _codes(frame["user_id"])
    keys = frame.select("event_time", "ingested_at", "transaction_id").with_columns(user=user)
    order = keys.select(
        pl.arg_sort_by("user", "event_time", "ingested_at", "transaction_id").cast(pl.Int64)
    )
    targets = order.to_series().to_numpy().copy()
    user = user[targets]
    changes = np.flatnonzero(np.diff(user, prepend=UNKNOWN))
    lengths = np.diff(changes, append=len(user))
    ordered = frame.select(_COLUMNS)[targets]
    offset_min = _micros(ordered["utc_offset_min"].fill_null(0))
    return HistoryTable(
        history=_history(ordered, offset_min),
        begins=np.repeat(changes, lengths),
        offset_min=offset_min,
        home_lat=_degrees(ordered["home_lat"]),
        home_lon=_degrees(ordered["home_lon"]),
        sums=sums,
        targets=targets,
        most=max_prior_rows,
    )


def _history(ordered: pl.DataFrame, offset_min: Micros) -> History:
    event_time = _micros(ordered["event_time"])
    return History(
        event_time=event_time,
        ingested_at=_micros(ordered["ingested_at"]),
        bucket=_buckets(event_time, offset_min),
        amount=ordered["amount"].cast(pl.Float64).to_numpy().copy(),
        merchant=_codes(ordered["merchant_id"]),
        category=_codes(ordered["merchant_category"]),
        location=_codes(ordered.select(_place()).to_series()),
        lat=_degrees(ordered["lat"]),
        lon=_degrees(ordered["lon"]),
    )


def _buckets(event_time: Micros, offset_min: Micros) -> npt.NDArray[np.int8]:
    """The three hours of the local day in which each row happened, 0 to 7."""
    local_time = event_time + offset_min * 60 * MICROS_PER_SECOND
    return (local_time // (3 * MICROS_PER_HOUR) % 8).astype(np.int8)


def _place() -> pl.Expr:
    """The cell as text, else the country, else the device; null is unknown."""
    known = pl.col("lat").is_finite() & pl.col("lon").is_finite()
    north, east = (
        (pl.col(name).cast(pl.Float64) * CELLS_PER_DEGREE).floor().cast(pl.Int64, strict=False)
        for name in ("lat", "lon")
    )
    cell = pl.when(known).then(pl.format("c{},{}", north, east))
    return pl.coalesce(cell, "n" + pl.col("country"), "d" + pl.col("device_id"))


def _codes(texts: pl.Series) -> Codes:
    """Equal text, equal number, counting from 0; null is UNKNOWN."""
    texts = texts.cast(pl.String)
    known = pl.Enum(texts.unique().drop_nulls())
    codes = texts.cast(known).to_physical().cast(pl.Int32).fill_null(UNKNOWN)
    return codes.to_numpy().copy()


def word_codes(words: Words, texts: pl.Series) -> npt.NDArray[np.float32]:
    """The codes of a whole column of words; null is NaN."""
    texts = texts.cast(pl.String)
    known = texts.unique().drop_nulls()
    places = texts.cast(pl.Enum(known)).to_physical().cast(pl.Int64).fill_null(UNKNOWN)
    # UNKNOWN is -1: the last entry of the table
    table = np.array([*(words[word] for word in known), np.nan], dtype=np.float32)
    codes: npt.NDArray[np.float32] = table[places.to_numpy()]
    return codes


def _micros(instants: pl.Series) -> Micros:
    return instants.cast(pl.Int64).to_numpy().copy()


def _degrees(values: pl.Series) -> Floats:
    """Coordinates; what is null or not finite becomes NaN."""
    degrees: npt.NDArray[np.float64] = values.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    degrees[~np.isfinite(degrees)] = np.nan
    return degrees
