"""The report as a step of the cycle: beside the bundle, and never in the way of a run."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from shared.tables.runs import RunStatus
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Outcome
from tests.scheduler.fakes import TinyUseCase
from tests.support.cycle_bench import CycleBench

pytestmark = pytest.mark.slow


@dataclass
class ScoresOnce(TinyUseCase):
    """A use case that judges a model, and breaks when it is asked about the same one again."""

    asked: int = 0

    def headline(self, scores: FloatMatrix) -> npt.NDArray[np.float64]:
        self.asked += 1
        if self.asked > 1:
            raise RuntimeError("no importances today")
        return super().headline(scores)


@pytest.fixture
def reporting(bench: CycleBench) -> CycleBench:
    bench.context = replace(bench.context, reports=True)
    return bench


def page_of(bench: CycleBench, name: str) -> str:
    return (bench.root / "retrained_models" / name).read_text()


def test_promoted_and_refused_candidates_each_have_a_page(reporting: CycleBench) -> None:
    first, second = reporting.run(), reporting.run()

    assert [step["step"] for step in first.steps][-1] == "report"
    promoted, refused = (
        page_of(reporting, "1.0.0/report.html"),
        page_of(reporting, "1.0.1/report.html"),
    )
    assert "Version 1.0.0 was promoted because it is the first model" in promoted
    assert second.status is RunStatus.NOT_DUE
    assert "Version 1.0.1 was not promoted because the champion is fresh: no worse" in refused
    for shown in (
        "ROC curves: champion 1.0.0",
        "Round 1 of 52 planned this year",
        "no harm shown",
        "size",
        "small",
        "large",
        first.metrics["held_out"]["sha256"],
    ):
        assert shown in refused or shown in promoted


def test_data_that_is_refused_leaves_a_page_without_a_candidate(reporting: CycleBench) -> None:
    reporting.use_case.quality = Outcome.FAIL
    run = reporting.run()

    assert run.model_version is None
    page = page_of(reporting, f"no_candidate/run_{run.run_id}.html")
    assert "Nothing was trained, so nothing was promoted, because the data-quality gate" in page


def test_pages_without_a_candidate_do_not_pile_up(reporting: CycleBench) -> None:
    reporting.use_case.quality = Outcome.FAIL
    for _ in range(5):
        reporting.run()

    assert len(list((reporting.root / "retrained_models" / "no_candidate").iterdir())) == 3


def test_a_report_that_breaks_fails_no_run(reporting: CycleBench) -> None:
    reporting.context = replace(reporting.context, use_case=ScoresOnce())
    run = reporting.run()

    assert run.status is RunStatus.SUCCEEDED
    assert run.steps[-1]["result"] == "failed"
    assert "no importances today" in run.steps[-1]["reason"]
    assert not (reporting.root / "retrained_models" / "1.0.0" / "report.html").exists()


def test_a_run_that_failed_while_training_has_a_page_too(reporting: CycleBench) -> None:
    reporting.use_case.training_error = "no memory"
    run = reporting.run()

    assert run.status is RunStatus.FAILED
    page = page_of(reporting, f"no_candidate/run_{run.run_id}.html")
    assert "the run failed: no memory" in page
