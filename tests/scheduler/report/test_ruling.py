"""The page says what a candidate was held to, every guardrail, and what the year has left."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler.gates import Contest, judge_metrics
from scheduler.report.page import render, why
from scheduler.report.ruling import ruling
from scheduler.statistics.evidence import Evidence
from shared.usecase.policy import PromotionPolicy
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import POLICY
from tests.scheduler.report.pages import Page
from tests.support.report_data import refused, scored, verdicts

GUARDED = replace(POLICY, primary_metric="auc", guard_metrics={"average_precision": 0.02})


def evidence(**changes: object) -> Evidence:
    rows = scored()
    base = Evidence(
        rows.champion,
        rows.candidate,
        rows.positive.astype(np.int8),
        slices={name: mask for name, mask in rows.slices.items() if mask.any()},
        champion_age_days=30.0,
        round_number=3,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def judged(found: Evidence, policy: PromotionPolicy = GUARDED, **changes: object) -> Verdict:
    base = Contest(found, "1.0.0", new_recipe=False, unscorable_reason=None)
    return judge_metrics(replace(base, **changes), policy, 1)  # type: ignore[arg-type]


def test_a_refresh_is_told_what_it_had_to_show_and_how_old_the_champion_was() -> None:
    found = ruling(GUARDED, [judged(evidence())])

    assert found is not None
    assert found.asked.startswith("Non-inferiority and freshness: the lower bound of the gain in")
    assert "above -0.05" in found.asked
    assert "older than 7 days (it was 30.0 days old)" in found.asked
    assert "no drift was known" in found.asked


def test_a_new_recipe_is_told_that_it_had_to_be_better() -> None:
    found = ruling(GUARDED, [judged(evidence(), new_recipe=True)])

    assert found is not None
    assert found.asked.startswith("Superiority: the lower bound of the gain in area under")


def test_the_round_and_what_the_year_has_left_are_told() -> None:
    found = ruling(GUARDED, [judged(evidence())])

    assert found is not None
    assert str(found.spending).startswith("Round 3 of 52 planned this year; it could spend")
    assert "of which 0.0474 remains" in str(found.spending)


def test_every_guardrail_has_its_row_with_holms_p_value() -> None:
    halved = evidence()
    first = halved.slices["first half"]
    spoiled = np.where(first, -halved.candidate, halved.candidate)
    found = ruling(GUARDED, [judged(replace(halved, candidate=spoiled))])

    assert found is not None
    rows = {row.name: row for row in found.guards}
    assert list(rows) == ["average precision, all rows", "first half", "second half"]
    assert rows["first half"].is_harm
    assert not rows["second half"].is_harm
    assert rows["average precision, all rows"].tolerance == 0.02


def test_a_slice_that_could_not_be_measured_is_shown_as_such() -> None:
    nobody = np.zeros(len(evidence().labels), dtype=np.bool_)
    page = render(refused(verdicts(judged(evidence(slices={"v1.5 users": nobody})))))

    assert "v1.5 users" in Page(page).text
    assert "not measured" in Page(page).text


def test_a_candidate_compared_with_nobody_is_told_its_floors() -> None:
    alone = judged(evidence(champion=None), champion_version=None)
    found = ruling(GUARDED, [alone])

    assert found is not None
    assert "the lower bounds had to reach average precision 0.3" in found.asked
    assert found.spending is None
    assert found.guards == ()


def test_a_run_without_a_verdict_on_metrics_has_no_ruling() -> None:
    assert ruling(GUARDED, []) is None
    assert ruling(GUARDED, [Verdict("metrics", Outcome.ERROR, "broke")]) is None


@pytest.mark.parametrize(
    ("changes", "new_recipe", "said"),
    [
        ({"champion_age_days": 1.0}, True, "better: average_precision 0."),
        ({"candidate": None}, False, "no worse, but the champion is fresh"),
        ({"candidate": None}, True, "not shown to be better"),
        ({"candidate": None, "drifted": True}, False, "no worse and the data has drifted"),
    ],
)
def test_the_sentence_says_why_on_every_path(
    changes: dict[str, object], new_recipe: bool, said: str
) -> None:
    found = evidence(champion_age_days=1.0)
    if "candidate" in changes:
        changes = {**changes, "candidate": found.champion}
    verdict = judged(replace(found, **changes), POLICY, new_recipe=new_recipe)  # type: ignore[arg-type]

    assert said in why(refused(verdicts(verdict)))


def test_the_sentence_of_a_lost_champion_names_what_was_done_instead() -> None:
    allowing = replace(POLICY, allow_unscorable_champion=True)
    verdict = judged(evidence(champion=None), allowing, unscorable_reason="its bundle is gone")

    said = why(refused(verdicts(verdict)))
    assert "the champion cannot be scored (its bundle is gone), which policy tiny allows" in said
    assert "every floor reached: average_precision 0." in said
