"""Data for the page of a candidate."""

from datetime import UTC, datetime

import numpy as np

from scheduler.decision import DecisionInputs, decide
from scheduler.report.data import Examined, HeldOutSummary, Importance, ReportData
from scheduler.report.measuring import ScoredRows, by_slice, overall, view
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import POLICY

START, END = datetime(2025, 11, 1, tzinfo=UTC), datetime(2025, 12, 1, tzinfo=UTC)


DIGEST = "ab" * 32


NASTY = "<script>alert('x')</script> & $\\frac{1}{2}$"


def scored(gain: float = 0.3, rows: int = 3_000) -> ScoredRows:
    """Calibrated scores of two models, the candidate better by so much noise."""
    rng = np.random.default_rng(3)
    signal = rng.normal(size=rows) * 2.0 - 3.0
    positive = rng.random(rows) < 1 / (1 + np.exp(-signal))
    candidate = 1 / (1 + np.exp(-signal))
    champion = 1 / (1 + np.exp(-(signal + rng.normal(size=rows) * gain)))
    clusters = np.column_stack((rng.integers(300, size=rows), rng.integers(14, size=rows)))
    first = np.arange(rows) < rows // 2
    slices = {"first half": first, "second half": ~first, "nobody": np.zeros(rows, dtype=np.bool_)}
    return ScoredRows(positive, candidate, champion, clusters, slices)


def examined() -> Examined:
    rows = scored()
    assert rows.champion is not None
    return Examined(
        held_out=HeldOutSummary(
            3_000, int(rows.positive.sum()), START, END, "held_out.parquet", DIGEST
        ),
        candidate=view("1.0.1", rows.candidate, rows.positive),
        champion=view("1.0.0", rows.champion, rows.positive),
        gains=tuple(overall(rows)),
        slices=tuple(by_slice(rows, "auc")),
        features=(Importance("size", 0.2, 0.1, 0.3), Importance("speed", 0.0, -0.01, 0.01)),
        groups=(Importance("all", 0.3, 0.2, 0.4),),
        importance_rows=1_000,
    )


def refused(verdicts: tuple[Verdict, ...]) -> ReportData:
    """A run as far as its decision; the sentence, but no figure, can be made of it."""
    inputs = DecisionInputs(
        candidate_version="1.0.1",
        candidate_sha256=DIGEST,
        champion_version="1.0.0",
        first_model=False,
        champion_scored=True,
        policy=POLICY.name,
        verdicts=verdicts,
    )
    decision = decide(inputs)
    return ReportData(
        use_case="tiny",
        run_id=12,
        as_of=END,
        began=None,
        status="SUCCEEDED" if decision.promotes else "REFUSED",
        code=decision.code,
        message=decision.reason,
        candidate_version="1.0.1",
        champion_version="1.0.0",
        unscorable_reason=None,
        snapshot_rows=8_000,
        policy=POLICY,
        verdicts=verdicts,
        decision=decision,
        bundle=None,
        examined=None,
        metrics={},
        steps=({"step": "train", "duration_seconds": 1.5, "result": "ok", "rows": 5_000},),
    )


GATES = ("data_quality", "feature_quality", "latency", "api_health")


def passed(gate: str) -> Verdict:
    return Verdict(gate, Outcome.PASS, f"{gate} is fine", {"rows": 7})


def verdicts(last: Verdict) -> tuple[Verdict, ...]:
    return (*map(passed, GATES), last)
