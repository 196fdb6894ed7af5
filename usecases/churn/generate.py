"""`python -m usecases.churn.generate`: customers.csv, as a telephone company might export it.

Every row is a customer on a day; whether he left is known a month later. Rows of the last month
have no label yet.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from shared.clock import SystemClock, to_datetime

FILE = Path(__file__).with_name("customers.csv")
CONTRACTS = ("month", "two years", "year")
PAYMENTS = ("bank transfer", "card", "cheque", "direct debit", "wallet")
DAYS = 300
DELAY_DAYS = 30


def customers(rows: int, seed: int = 1, until: datetime | None = None) -> pl.DataFrame:
    """Rows up to a day, labelled where the truth had time to become known."""
    random = np.random.default_rng(seed)
    end = until or to_datetime(SystemClock().now_us())
    ago = np.sort(random.integers(0, DAYS, rows))[::-1]
    as_of = [end - timedelta(days=int(days)) for days in ago]
    tenure = random.integers(0, 72, rows)
    charges = np.round(random.gamma(8.0, 8.0, rows), 2)
    contract = random.choice(3, rows, p=[0.5, 0.2, 0.3])
    calls = random.poisson(1.5, rows)
    since, has_called = random.integers(1, 90, rows), random.random(rows) < 0.7
    called = [
        at - timedelta(days=int(days)) if has else None
        for at, days, has in zip(as_of, since, has_called, strict=True)
    ]
    drive = 0.03 * (charges - 64) - 0.04 * tenure + 0.6 * calls - 1.3 * (contract > 0) - 1.0
    leaves = random.random(rows) < 1 / (1 + np.exp(-drive))
    label = [
        ("yes" if left else "no") if days >= DELAY_DAYS else None
        for left, days in zip(leaves, ago, strict=True)
    ]
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:06}" for number in random.integers(0, rows // 3 + 1, rows)],
            "as_of": [at.strftime("%Y-%m-%d") for at in as_of],
            "tenure_months": tenure,
            "monthly_charges": charges,
            "contract": [CONTRACTS[one] for one in contract],
            "payment": [PAYMENTS[one] for one in random.integers(0, len(PAYMENTS), rows)],
            "has_fibre": np.where(random.random(rows) < 0.4, "yes", "no"),
            "support_calls": calls,
            "last_call": [at and at.strftime("%Y-%m-%d") for at in called],
            "churned": label,
        }
    )


def main(rows: int = 20_000) -> None:
    """Write the file beside the declaration."""
    customers(rows).write_csv(FILE)
    sys.stdout.write(f"{rows:,} rows in {FILE}\n")


if __name__ == "__main__":
    main()
