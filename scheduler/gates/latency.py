"""The latency gate: the bundle, scored for real, one row at a time, against a budget."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from shared.usecase.serving import FloatMatrix
from shared.verdicts import Outcome, Verdict

GATE = "latency"
WARM_UP_ROWS = 50
TIMED_ROWS = 500
NANOS_PER_MILLI = 1_000_000


class RowScorer(Protocol):
    """A loaded bundle."""

    def score(self, matrix: FloatMatrix) -> FloatMatrix: ...


def judge_latency(
    model: RowScorer,
    rows: FloatMatrix,
    budget_ms: float,
    timer_ns: Callable[[], int] = time.perf_counter_ns,
) -> Verdict:
    """Compare the 95th percentile of single-row scoring with the budget."""
    if len(rows) == 0:
        return Verdict(GATE, Outcome.INCONCLUSIVE, "there is no held-out row to score")
    for index in range(WARM_UP_ROWS):
        model.score(_row(rows, index))
    taken_ms = [_timed_ms(model, _row(rows, index), timer_ns) for index in range(TIMED_ROWS)]
    p50, p95, p99 = (float(value) for value in np.percentile(taken_ms, (50, 95, 99)))
    outcome = Outcome.PASS if p95 <= budget_ms else Outcome.FAIL
    return Verdict(
        GATE,
        outcome,
        f"p95 of one row is {p95:.3f} ms, the budget is {budget_ms:g} ms",
        {
            "p50_ms": round(p50, 4),
            "p95_ms": round(p95, 4),
            "p99_ms": round(p99, 4),
            "budget_ms": budget_ms,
            "rows": TIMED_ROWS,
        },
    )


def _row(rows: FloatMatrix, index: int) -> FloatMatrix:
    position = index % len(rows)
    return np.ascontiguousarray(rows[position : position + 1])


def _timed_ms(model: RowScorer, row: FloatMatrix, timer_ns: Callable[[], int]) -> float:
    started = timer_ns()
    model.score(row)
    return (timer_ns() - started) / NANOS_PER_MILLI
