"""Rows with a known truth, for every test of the statistics."""

from collections.abc import Callable

import numpy as np
from scipy import special

from scheduler.statistics.evidence import Evidence
from scheduler.statistics.sample import Floats

Draw = Callable[..., Evidence]


def draw_evidence(
    seed: int = 0,
    positives: int = 200,
    negatives: int = 4_000,
    gain: float = 0.0,
    correlation: float = 0.85,
    customers: int = 400,
    customer_share: float = 0.2,
    days: int = 14,
) -> Evidence:
    """Binormal scores of two models, AUC .85 and .85 + gain, with effects of customers."""
    rng = np.random.default_rng(seed)
    rows = positives + negatives
    labels = np.repeat([1, 0], [positives, negatives]).astype(np.int8)
    who = rng.integers(customers, size=rows)

    def noise() -> Floats:
        of_customer = rng.normal(size=customers)[who]
        own = rng.normal(size=rows)
        mixed = np.sqrt(customer_share) * of_customer + np.sqrt(1 - customer_share) * own
        return np.asarray(mixed, dtype=np.float64)

    common = np.sqrt(correlation) * noise()
    champion, candidate = (
        common + np.sqrt(1 - correlation) * noise() + labels * np.sqrt(2) * special.ndtri(auc)
        for auc in (0.85, 0.85 + gain)
    )
    return Evidence(
        champion,
        candidate,
        labels,
        customers=who,
        days=rng.integers(days, size=rows),
        amounts=rng.gamma(2.0, 40.0, size=rows),
    )
