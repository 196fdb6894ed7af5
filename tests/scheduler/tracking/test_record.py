"""What is told of a run, over every way it can end."""

from dataclasses import dataclass, field, replace

import pytest

from scheduler.tracked_run import TrackedRun
from tests.support.cycle_bench import CycleBench


@dataclass
class Ledger:
    """A tracker that remembers."""

    runs: list[TrackedRun] = field(default_factory=list)

    def track(self, run: TrackedRun) -> None:
        self.runs.append(run)


@pytest.fixture
def ledger(bench: CycleBench) -> Ledger:
    ledger = Ledger()
    bench.context = replace(bench.context, tracker=ledger)
    return ledger


def test_a_promoted_run_tells_its_recipe_its_data_its_figures_and_its_files(
    bench: CycleBench, ledger: Ledger
) -> None:
    bench.run()

    [run] = ledger.runs
    assert (run.status, run.version, run.serving_version) == ("SUCCEEDED", "1.0.0", "1.0.0")
    assert run.parameters["hyperparameter.kind"] == "linear"
    assert run.parameters["threshold.review"] == "0.5"
    assert len(run.parameters["training_sha256"]) == 64
    assert run.metrics["candidate.average_precision"] > 0.3
    assert run.metrics["metrics.passed"] == 1.0
    assert run.metrics["seconds.train"] >= 0.0
    assert "candidate.undefined" not in run.metrics
    assert run.artefacts is not None
    names = {path.name for path in run.artefacts.iterdir()}
    assert names == {"bundle.zip", "bundle.sig", "verdicts.json"}


def test_a_refused_run_says_that_the_champion_still_serves(
    bench: CycleBench, ledger: Ledger
) -> None:
    bench.run()
    bench.use_case.weights = (0.3, 0.0, 2.0)
    bench.run()

    refused = ledger.runs[-1]
    assert (refused.status, refused.version, refused.serving_version) == (
        "REFUSED",
        "1.0.1",
        "1.0.0",
    )


def test_a_run_that_failed_before_there_was_a_candidate_is_told_too(
    bench: CycleBench, ledger: Ledger
) -> None:
    bench.use_case.training_error = "no memory"
    bench.run()

    [run] = ledger.runs
    assert (run.status, run.version, run.parameters) == ("FAILED", None, {})
    assert "no memory" in run.message
