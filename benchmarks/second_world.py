"""A second simulated world, unlike the first: what is bought, when and for how much tells fraud.

It was written after the recipe was fixed and is measured, never tuned on. After the ideas of
public card simulators (Sparkov): a customer has habits by category, and now and then a card is
stolen and used in a burst of about a day, mostly at night, in a few categories, for amounts that
are unlike the honest ones of that category and not large in themselves. Merchants and places are
as innocent in a burst as out of it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.clock import MICROS_PER_DAY

START_US = 1_577_836_800_000_000  # 2020-01-01T00:00:00Z
MAPPING = """
[columns]
transaction_id = "number"
user_id = "card"
event_time = "time"
amount = "amount"
merchant_id = "merchant"
merchant_category = "category"
lat = "lat"
lon = "lon"
home_lat = "home_lat"
home_lon = "home_lon"
label = "stolen"

[time]
label_delay = "7d"
"""


class Kind(NamedTuple):
    """A category: its share of honest and of stolen payments, and what is paid in either."""

    name: str
    share: float
    usual: float
    spread: float
    stolen_share: float
    stolen_usual: float
    stolen_spread: float


KINDS = (
    Kind("fuel", 0.12, 65, 0.25, 0.08, 12, 0.3),
    Kind("groceries", 0.14, 70, 0.7, 0.22, 310, 0.12),
    Kind("groceries online", 0.05, 55, 0.6, 0.02, 13, 0.4),
    Kind("home", 0.10, 45, 0.9, 0.03, 240, 0.15),
    Kind("shops", 0.09, 40, 1.2, 0.12, 880, 0.15),
    Kind("web shops", 0.08, 45, 1.3, 0.24, 1000, 0.12),
    Kind("children", 0.08, 45, 0.9, 0.01, 20, 0.5),
    Kind("leisure", 0.07, 50, 0.8, 0.04, 500, 0.2),
    Kind("food", 0.07, 42, 0.6, 0.03, 115, 0.15),
    Kind("care", 0.07, 38, 0.8, 0.03, 25, 0.4),
    Kind("health", 0.06, 45, 0.8, 0.02, 22, 0.4),
    Kind("other", 0.03, 30, 1.2, 0.04, 220, 0.6),
    Kind("other online", 0.02, 30, 1.2, 0.11, 790, 0.12),
    Kind("travel", 0.02, 12, 1.8, 0.01, 10, 0.5),
)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of the world."""

    customers: int = 700
    merchants: int = 700
    days: int = 365
    per_day: float = 1.2
    bursts_a_year: float = 0.25
    rows_a_burst: float = 10.0


def write_second_world(
    folder: Path, seed: int = 0, scale: Scale | None = None
) -> tuple[Path, Path]:
    """The rows as a file, and the mapping that `understudy import` wants for it."""
    data, mapping = folder / "second_world.parquet", folder / "second_world.toml"
    second_world(seed, scale or Scale()).write_parquet(data)
    mapping.write_text(MAPPING, encoding="utf-8")
    return data, mapping


def second_world(seed: int, scale: Scale) -> pl.DataFrame:
    """All payments in the order of time."""
    rng = np.random.default_rng([seed, 2020])
    spends = scale.per_day * rng.gamma(2.0, 0.5, scale.customers)
    rows = pl.concat(
        [
            _honest(rng, scale, rng.poisson(spends * scale.days)),
            _stolen(
                rng, scale, rng.poisson(scale.bursts_a_year * scale.days / 365, scale.customers)
            ),
        ]
    )
    home = rng.uniform((36.0, -5.0), (56.0, 20.0), (scale.customers, 2)).round(4)
    card = rows["card"].to_numpy()
    away = rng.uniform(-1.0, 1.0, (rows.height, 2))
    kind = rows["kind"].to_numpy()
    # a merchant has one category; low numbers are popular
    each = scale.merchants // len(KINDS)
    shop = kind * each + (each * rng.random(rows.height) ** 1.5).astype(np.int64)
    return (
        rows.with_columns(
            card=pl.format("card {}", "card"),
            merchant=pl.Series(shop).cast(pl.String),
            category=pl.Series([KINDS[at].name for at in kind.tolist()]),
            amount=pl.col("amount").round(2).clip(1.0),
            home_lat=pl.Series(home[card, 0]),
            home_lon=pl.Series(home[card, 1]),
            lat=pl.Series((home[card, 0] + away[:, 0]).round(4)),
            lon=pl.Series((home[card, 1] + away[:, 1]).round(4)),
            time=pl.from_epoch("time", time_unit="us").dt.replace_time_zone("UTC"),
        )
        .drop("kind")
        .sort("time", maintain_order=True)
        .with_row_index("number")
        .with_columns(pl.col("number").cast(pl.String))
    )


def _honest(rng: np.random.Generator, scale: Scale, counts: Ints) -> pl.DataFrame:
    card = np.repeat(np.arange(scale.customers), counts)
    size = len(card)
    # habits: each customer prefers some categories
    habits = rng.dirichlet(40 * np.array([kind.share for kind in KINDS]), scale.customers)
    kind = (habits.cumsum(axis=1)[card] < rng.random(size)[:, None]).sum(axis=1).clip(0, 13)
    # more rows on some weekdays, in December, and by day
    day = rng.integers(0, scale.days, size)
    busy = rng.random(size) < 0.3
    day = np.where(busy, (day // 7 * 7 + rng.integers(4, 7, size)) % scale.days, day)
    hour = np.where(rng.random(size) < 0.75, rng.normal(15, 4, size) % 24, rng.uniform(0, 24, size))
    purse = np.exp(rng.normal(0, 0.35, scale.customers))
    usual = np.array([each.usual for each in KINDS])[kind] * purse[card]
    spread = np.array([each.spread for each in KINDS])[kind]
    amount = usual * np.exp(spread * rng.standard_normal(size) - spread**2 / 2)
    return _frame(card, kind, day + hour / 24, amount, stolen=0)


def _stolen(rng: np.random.Generator, scale: Scale, bursts: Ints) -> pl.DataFrame:
    victim = np.repeat(np.arange(scale.customers), bursts)
    begin = rng.integers(0, scale.days - 2, len(victim))
    counts = 1 + rng.poisson(scale.rows_a_burst - 1, len(victim))
    card, begins = np.repeat(victim, counts), np.repeat(begin, counts)
    size = len(card)
    shares = np.array([kind.stolen_share for kind in KINDS])
    kind = rng.choice(len(KINDS), size, p=shares / shares.sum())
    night = rng.random(size) < 0.8
    hour = np.where(night, rng.uniform(22, 28, size), rng.uniform(0, 24, size))
    usual = np.array([each.stolen_usual for each in KINDS])[kind]
    spread = np.array([each.stolen_spread for each in KINDS])[kind]
    amount = usual * np.exp(spread * rng.standard_normal(size))
    return _frame(card, kind, begins + hour / 24, amount, stolen=1)


def _frame(
    card: Ints,
    kind: Ints,
    day: npt.NDArray[np.float64],
    amount: npt.NDArray[np.float64],
    stolen: int,
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "card": card,
            "kind": kind,
            "time": START_US + (day * MICROS_PER_DAY).astype(np.int64),
            "amount": amount,
            "stolen": np.full(len(card), stolen),
        }
    )


TRAIN_BEFORE_US = START_US + 285 * MICROS_PER_DAY
TEST_FROM_US = START_US + 292 * MICROS_PER_DAY
