"""A bench for drift checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine

from scheduler.drift.runner import DriftContext, DriftRunner
from shared.clock import MICROS_PER_DAY
from shared.tables.runs import Run, claim_next, get_run, request_run
from shared.tables.writer import write_decisions, write_labels
from shared.transaction import Label
from tests.scheduler.fakes import NAMES
from tests.support.cycle_bench import CycleBench

ROWS_A_DAY = 200


def scored_rows(
    start_us: int, days: int, seed: int, version: str, shift: float = 0.0
) -> list[dict[str, Any]]:
    """Traffic like the tiny use case's training rows; `size` is shifted, in sigmas."""
    rng = np.random.default_rng(seed)
    count = days * ROWS_A_DAY
    values = rng.normal(size=(count, len(NAMES)))
    values[:, 0] += shift
    scores = 1.0 / (1.0 + np.exp(-values @ np.array([2.0, 1.0, 0.0])))
    times = start_us + np.linspace(0, days * MICROS_PER_DAY - 1, count).astype(np.int64)
    return [
        {
            "transaction_id": f"{seed}-{place}",
            "user_id": f"u{place % 50}",
            "event_time": int(times[place]),
            "ingested_at": int(times[place]),
            "amount": 1.0,
            "currency": "EUR",
            "merchant_id": "m",
            "transaction_type": "purchase",
            "component_scores": {"classifier": float(np.float32(scores[place]))},
            "score": float(scores[place]),
            "model_version": version,
            "feature_set_version": "1",
            "feature_vector": values[place].astype("<f4").tobytes(),
        }
        for place in range(count)
    ]


@dataclass
class DriftBench:
    """A job ready to run after a first model was promoted, and a clock that moves."""

    cycle: CycleBench
    context: DriftContext
    version: str

    @property
    def engine(self) -> Engine:
        return self.context.engine

    def serve(self, days: int, seed: int, shift: float = 0.0, version: str | None = None) -> None:
        """Traffic from now on; then it is this many days later."""
        start_us = self.cycle.clock.now_us()
        rows = scored_rows(start_us, days, seed, version or self.version, shift)
        with self.engine.begin() as connection:
            write_decisions(connection, rows)
        self.cycle.clock.move(days * MICROS_PER_DAY)

    def tell(self, labels: Mapping[str, int], source: str = "feedback") -> None:
        now_us = self.cycle.clock.now_us()
        told = [Label(key, label, now_us, source) for key, label in labels.items()]
        with self.engine.begin() as connection:
            write_labels(connection, told)

    def check(self) -> Run:
        """Request, claim and execute one check; returns its row."""
        run_id = request_run(self.engine, "drift", self.cycle.clock.now_us(), "test")
        claimed = claim_next(self.engine)
        assert claimed is not None
        assert claimed.run_id == run_id
        DriftRunner(self.context, self.cycle.recorder).execute(claimed)
        finished = get_run(self.engine, run_id)
        assert finished is not None
        return finished
