"""`python -m usecases.churn.generate`: customers.csv, as a telephone company might export it.

Every row is a customer on a day; whether he left is known a month later.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from usecases.declared.generated import Generated, GeneratedDays, entities

CONTRACTS = ("month", "two years", "year")
PAYMENTS = ("bank transfer", "card", "cheque", "direct debit", "wallet")
DELAY_DAYS = 30


def customers(rows: int, seed: int = 1, until: datetime | None = None) -> pl.DataFrame:
    """Rows up to a day, labelled where the truth had time to become known."""
    random = np.random.default_rng(seed)
    past = GeneratedDays(random, rows, until)
    tenure = random.integers(0, 72, rows)
    charges = np.round(random.gamma(8.0, 8.0, rows), 2)
    contract = random.choice(3, rows, p=[0.5, 0.2, 0.3])
    calls = random.poisson(1.5, rows)
    since, has_called = random.integers(1, 90, rows), random.random(rows) < 0.7
    drive = 0.03 * (charges - 64) - 0.04 * tenure + 0.6 * calls - 1.3 * (contract > 0) - 1.0
    leaves = random.random(rows) < 1 / (1 + np.exp(-drive))
    return pl.DataFrame(
        {
            "customer_id": entities(random, "c", rows),
            "as_of": past.dates(),
            "tenure_months": tenure,
            "monthly_charges": charges,
            "contract": [CONTRACTS[one] for one in contract],
            "payment": [PAYMENTS[one] for one in random.integers(0, len(PAYMENTS), rows)],
            "has_fibre": np.where(random.random(rows) < 0.4, "yes", "no"),
            "support_calls": calls,
            "last_call": past.dates_before(since, has_called),
            "churned": past.known(["yes" if left else "no" for left in leaves], DELAY_DAYS),
        }
    )


GENERATED = Generated(Path(__file__).with_name("customers.csv"), customers)

if __name__ == "__main__":
    GENERATED.write()
