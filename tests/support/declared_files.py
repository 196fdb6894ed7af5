"""Files as people bring them: a churn-like, a price-like and an iris-like table, made by rule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

START = datetime(2025, 6, 1, tzinfo=UTC)
CONTRACTS = ("month", "two years", "year")
CITIES = ("Ulm", "Kiel", "Bonn", "Trier", "Gotha", "Essen", "Wien", "Graz", "Linz", "Bern",
          "Basel", "Zug", "Lyon", "Nice", "Lille")  # fmt: skip


def churn(rows: int, seed: int = 1) -> pl.DataFrame:
    """Customers month by month; some leave, as contract, charges and calls suggest."""
    random = np.random.default_rng(seed)
    tenure = random.integers(0, 72, rows)
    charges = np.round(random.gamma(8.0, 8.0, rows), 2)
    contract = random.choice(3, rows, p=[0.5, 0.2, 0.3])
    calls = random.poisson(1.5, rows)
    days = np.sort(random.integers(0, 300, rows))
    raised = 0.02 * (charges - 60) - 0.04 * tenure + 0.5 * calls - 1.2 * (contract > 0)
    leaves = random.random(rows) < 1 / (1 + np.exp(-raised))
    as_of = [START + timedelta(days=int(day)) for day in days]
    called = [at - timedelta(days=int(ago)) for at, ago in
              zip(as_of, random.integers(1, 90, rows), strict=True)]  # fmt: skip
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:05}" for number in random.integers(0, rows // 3, rows)],
            "as_of": [at.strftime("%Y-%m-%d") for at in as_of],
            "tenure_months": tenure,
            "MonthlyCharges": charges,
            "contract": [CONTRACTS[one] for one in contract],
            "city": [CITIES[one] for one in random.integers(0, len(CITIES), rows)],
            "has_fibre": np.where(random.random(rows) < 0.4, "yes", "no"),
            "support_calls": calls,
            "last_call": [at.strftime("%Y-%m-%dT%H:%M:%SZ") if ok else None for at, ok in
                          zip(called, random.random(rows) < 0.7, strict=True)],
            "churned": np.where(leaves, "yes", "no"),
        }
    )  # fmt: skip


def prices(rows: int, seed: int = 2) -> pl.DataFrame:
    """Houses and what they were sold for."""
    random = np.random.default_rng(seed)
    area = np.round(random.gamma(9.0, 14.0, rows), 1)
    rooms = np.clip((area / 28).astype(int) + random.integers(0, 2, rows), 1, 12)
    year = random.integers(1900, 2024, rows)
    district = random.integers(0, len(CITIES), rows)
    price = 1_800 * area + 9_000 * rooms + 600 * (year - 1950) + 8_000 * district
    price = np.round(price * np.exp(random.normal(0, 0.12, rows)), -2)
    sold = [START + timedelta(days=int(day)) for day in np.sort(random.integers(0, 300, rows))]
    return pl.DataFrame(
        {
            "house_id": [f"h-{number}" for number in range(rows)],
            "sold_on": [at.strftime("%Y-%m-%d") for at in sold],
            "living area (m2)": area,
            "rooms": rooms,
            "built": year,
            "district": [CITIES[one] for one in district],
            "has_garden": random.random(rows) < 0.5,
            "price": price,
        }
    )


def iris(rows: int, seed: int = 3) -> pl.DataFrame:
    """Flowers of three kinds, measured."""
    random = np.random.default_rng(seed)
    species = random.integers(0, 3, rows)
    petal = np.array([1.5, 4.3, 5.6])[species] + random.normal(0, 0.5, rows)
    sepal = np.array([5.0, 5.9, 6.6])[species] + random.normal(0, 0.5, rows)
    return pl.DataFrame(
        {
            "sepal length (cm)": np.round(sepal, 1),
            "petal length (cm)": np.round(petal, 1),
            "petal width (cm)": np.round(petal / 3 + random.normal(0, 0.1, rows), 1),
            "species": [("setosa", "versicolor", "virginica")[one] for one in species],
        }
    )


def tastes(rows: int, seed: int = 4) -> pl.DataFrame:
    """What guests rate of eight drinks, and rate next; three kinds of guests."""
    random = np.random.default_rng(seed)
    drinks = ("tea", "mate", "cocoa", "coffee", "cider", "juice", "milk", "water")
    liked = np.random.default_rng(8).normal(0, 1.3, (3, len(drinks)))
    guests = random.integers(0, rows // 3, rows)
    taste = liked[np.random.default_rng(9).integers(0, 3, rows)[guests]]
    found = []
    for unknown in (0.6, 0.2):
        stars = np.round(np.clip(3 + taste + random.normal(0, 0.9, taste.shape), 1, 5))
        found.append(np.where(random.random(taste.shape) < unknown, np.nan, stars))
    sold = [START + timedelta(days=int(day)) for day in np.sort(random.integers(0, 300, rows))]
    columns: dict[str, Any] = {"guest": [f"g{number:05}" for number in guests],
               "asked_on": [at.strftime("%Y-%m-%d") for at in sold]}  # fmt: skip
    for start, rated in zip(("rating", "next"), found, strict=True):
        columns |= {f"{start}_{drink}": rated[:, at] for at, drink in enumerate(drinks)}
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def write_churn(path: Path, rows: int) -> Path:
    churn(rows).write_csv(path)
    return path


def write_prices(path: Path, rows: int) -> Path:
    prices(rows).write_csv(path)
    return path


def write_iris(path: Path, rows: int) -> Path:
    iris(rows).write_csv(path)
    return path
