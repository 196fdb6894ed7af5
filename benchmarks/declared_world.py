"""A file of twenty mixed columns, as a company might export it, and the use case of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

NAME = "bench"
LABEL, TIME, ENTITY = "cancelled", "as_of", "customer_id"
_CITIES = tuple(f"city {number:02}" for number in range(40))
_PLANS, _PAYMENTS = ("basic", "family", "premium"), ("bank", "card", "wallet", "cheque")
_REGIONS, _DEVICES = ("north", "south", "east", "west"), ("phone", "tablet", "desktop")
_DAYS = 365


def world(rows: int, seed: int = 1) -> pl.DataFrame:
    """Rows of the year up to now; ids, a time, twenty columns, a label."""
    random = np.random.default_rng(seed)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=_DAYS + 1)
    day = np.sort(random.integers(0, _DAYS, rows))
    numbers = {f"amount_{at}": np.round(random.gamma(3.0, 20.0, rows), 2) for at in range(6)}
    counts = {f"calls_{at}": random.poisson(1.0 + at, rows) for at in range(4)}
    words = {
        "plan": _PLANS, "payment": _PAYMENTS, "region": _REGIONS, "device": _DEVICES,
        "city": _CITIES,
    }  # fmt: skip
    codes = {name: random.integers(0, len(known), rows) for name, known in words.items()}
    flags = {f"has_{name}": random.random(rows) < 0.4 for name in ("fibre", "app", "discount")}
    drive = 0.02 * (numbers["amount_0"] - numbers["amount_1"]) + 0.5 * counts["calls_0"]
    drive += 0.6 * (codes["plan"] == 0) + 0.4 * flags["has_app"] + 0.02 * (codes["city"] % 7) - 2.0
    is_missing = random.random(rows) < 0.1
    seconds = pl.Series(day * 86_400)
    since = pl.Series(random.integers(1, 900, rows) * 86_400)
    return pl.DataFrame(
        {
            "row": [f"r{seed}-{number}" for number in range(rows)],
            ENTITY: [f"c{number}" for number in random.integers(0, rows // 4 + 1, rows)],
            TIME: _dates(start, seconds),
            **{
                name: pl.Series(values).set(pl.Series(is_missing & (at % 2 == 1)), None)
                for at, (name, values) in enumerate(numbers.items())
            },
            **counts,
            **{name: pl.Series(words[name]).gather(at) for name, at in codes.items()},
            **{name: np.where(is_set, "yes", "no") for name, is_set in flags.items()},
            "joined": _dates(start, seconds - since),
            "last_login": _dates(start, seconds - since // 30),
            LABEL: np.where(random.random(rows) < 1 / (1 + np.exp(-drive)), "yes", "no"),
        }
    )


def write_world(path: Path, rows: int, seed: int = 1) -> Path:
    """The same as a CSV file."""
    world(rows, seed).write_csv(path)
    return path


def _dates(start: datetime, seconds: pl.Series) -> pl.Series:
    moments = pl.select(pl.lit(start) + pl.duration(seconds=pl.lit(seconds))).to_series()
    return moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def declaration() -> str:
    """usecase.toml of the file."""
    kinds = {
        **{f"amount_{at}": "number" for at in (0, 2, 4)},
        **{f"calls_{at}": "number" for at in range(4)},
        **dict.fromkeys(("plan", "payment", "region", "device", "city"), "category"),
        **{f"has_{name}": "flag" for name in ("fibre", "app", "discount")},
        **dict.fromkeys(("joined", "last_login"), "moment"),
    }
    missing = [f'amount_{at} = {{ kind = "number", required = false }}' for at in (1, 3, 5)]
    lines = [f'{name} = "{kind}"' for name, kind in kinds.items()] + missing
    return "\n".join(
        (
            "[use_case]",
            f'name = "{NAME}"',
            'task = "binary"',
            'row_id = "row"',
            f'entity = "{ENTITY}"',
            f'time = "{TIME}"',
            "[label]",
            f'column = "{LABEL}"',
            'positive = "yes"',
            'negative = "no"',
            "[columns]",
            *lines,
            "",
        )
    )
