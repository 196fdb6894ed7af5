"""What a report of a refused candidate is made of, and the page of it."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from scheduler.decision import DecisionInputs, decide
from scheduler.report.curves import view
from scheduler.report.data import BundleFacts, Examined, HeldOutSummary, Importance, ReportData
from scheduler.report.gains import Scored, by_slice, overall
from scheduler.report.page import render
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import POLICY

START, END = datetime(2025, 11, 1, tzinfo=UTC), datetime(2025, 12, 1, tzinfo=UTC)
DIGEST = "ab" * 32
NASTY = "<script>alert('x')</script> & $\\frac{1}{2}$"


def manifest(description: str = "Trained for a test.") -> Manifest:
    inputs, outputs = served_signature(2, 1)
    return Manifest(
        model_name="tiny",
        version="1.0.1",
        created_at=END,
        use_case="tiny",
        frameworks={"numpy": "2"},
        python_version="3.11",
        components=("classifier",),
        feature_names=("size", "speed"),
        feature_set_version="1",
        inputs=inputs,
        outputs=outputs,
        thresholds={"review": 0.5},
        hyperparameters={"classifier": {"trees": 10}},
        metrics={},
        training_data=TrainingData(
            rows=5_000, positives=50, window_start=START, window_end=END, sha256=DIGEST
        ),
        parent_version="1.0.0",
        description=description,
    )


def scored(gain: float = 0.3, rows: int = 3_000) -> Scored:
    """Calibrated scores of two models, the candidate better by so much noise."""
    rng = np.random.default_rng(3)
    signal = rng.normal(size=rows) * 2.0 - 3.0
    positive = rng.random(rows) < 1 / (1 + np.exp(-signal))
    candidate = 1 / (1 + np.exp(-signal))
    champion = 1 / (1 + np.exp(-(signal + rng.normal(size=rows) * gain)))
    clusters = np.column_stack((rng.integers(300, size=rows), rng.integers(14, size=rows)))
    first = np.arange(rows) < rows // 2
    slices = {"first half": first, "second half": ~first, "nobody": np.zeros(rows, dtype=np.bool_)}
    return Scored(positive, candidate, champion, clusters, slices)


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


@pytest.fixture(scope="session")
def nasty_page() -> str:
    """Every text that could come from outside tries to be markup."""
    whole = examined()
    feature = Importance(NASTY, 0.2, 0.1, 0.3)
    slices = tuple(replace(item, name=f"{item.name} {NASTY}") for item in whole.slices)
    worse = Verdict("metrics", Outcome.FAIL, f"worse: {NASTY}", {NASTY: NASTY, "gain": -0.0123456})
    data = replace(
        refused(verdicts(worse)),
        bundle=BundleFacts(manifest(NASTY), DIGEST, 2_000_000),
        examined=replace(whole, slices=slices, features=(feature,)),
        metrics={"candidate": {"auc": 0.9, NASTY: None}, "champion": {"auc": 0.91}},
    )
    return render(data)
