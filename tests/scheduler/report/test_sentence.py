"""The one sentence: why it was, or was not, promoted."""

from dataclasses import replace

import pytest

from scheduler.report.data import ReportData
from scheduler.report.page import why
from shared.verdicts import Outcome, Verdict
from tests.support.report_data import GATES, passed, refused, verdicts


def metrics(outcome: Outcome, reason: str) -> ReportData:
    return refused(verdicts(Verdict("metrics", outcome, reason)))


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.FAIL, "because the comparison with the champion failed: R."),
        (Outcome.INCONCLUSIVE, "because the comparison with the champion was inconclusive: R."),
        (Outcome.ERROR, "because the comparison with the champion could not be carried out: R."),
    ],
)
def test_a_refusal_names_the_gate_and_how_it_spoke(outcome: Outcome, said: str) -> None:
    assert why(metrics(outcome, "R")) == f"Version 1.0.1 was not promoted {said}"


def test_a_promotion_names_the_champion_and_the_gain() -> None:
    said = why(metrics(Outcome.PASS, "better: 0.61 -> 0.66."))

    assert said == (
        "Version 1.0.1 was promoted over 1.0.0 because it passed every gate: better: 0.61 -> 0.66."
    )


def test_a_first_model_is_promoted_as_such() -> None:
    data = metrics(Outcome.PASS, "every floor reached")
    assert data.decision is not None
    inputs = replace(data.decision.inputs, first_model=True, champion_version=None)
    data = replace(data, decision=replace(data.decision, inputs=inputs), champion_version=None)

    assert "because it is the first model" in why(data)


def test_a_candidate_that_passed_but_does_not_serve_is_not_called_promoted() -> None:
    data = replace(metrics(Outcome.PASS, "better"), status="FAILED", message="the API said 422")

    assert why(data) == "Version 1.0.1 passed every gate but does not serve: the API said 422."


def test_a_missing_gate_is_named() -> None:
    assert why(refused(tuple(map(passed, GATES)))) == (
        "Version 1.0.1 was not promoted because no verdict from metrics."
    )


def test_a_reason_of_several_lines_stays_one_sentence() -> None:
    assert "\n" not in why(metrics(Outcome.ERROR, "first\nsecond.\n"))
