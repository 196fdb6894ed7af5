"""What a report of a refused candidate is made of, and the page of it."""

from dataclasses import replace

import pytest

from scheduler.report.data import BundleFacts, Importance
from scheduler.report.page import render
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.verdicts import Outcome, Verdict
from tests.support.report_data import DIGEST, END, NASTY, START, examined, refused, verdicts


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
