"""The metrics gate: each path a candidate can take, and that none is taken by default."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler.gates import Contest, judge_metrics
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.sample import Floats
from shared.usecase.policy import PromotionKind
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import POLICY

ROWS = 2_000


def evidence(**changes: object) -> Evidence:
    """A candidate that ranks 200 positives of 2,000 well, against a champion that does not."""
    rng = np.random.default_rng(3)
    labels = (np.arange(ROWS) % 10 == 0).astype(np.int8)
    base = Evidence(
        labels=labels,
        customers=rng.integers(0, 400, ROWS),
        days=rng.integers(0, 30, ROWS),
        amounts=rng.gamma(2.0, 30.0, ROWS),
        candidate=labels + rng.normal(scale=0.5, size=ROWS),
        champion=labels + rng.normal(scale=0.8, size=ROWS),
        champion_age_days=1.0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def contest(found: Evidence, **changes: object) -> Contest:
    base = Contest(
        evidence=found, champion_version="1.0.0", new_recipe=False, unscorable_reason=None
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def judged(found: Evidence, **changes: object) -> Verdict:
    return judge_metrics(contest(found, **changes), POLICY, 1)


def equal(**changes: object) -> Evidence:
    return evidence(champion=evidence().candidate, **changes)


def first_model(found: Evidence, floor: float = 0.3) -> Verdict:
    alone = contest(replace(found, champion=None), champion_version=None)
    return judge_metrics(alone, replace(POLICY, first_model_min={"average_precision": floor}), 1)


@pytest.mark.parametrize("new_recipe", [True, False])
def test_a_candidate_shown_to_be_better_passes_whatever_the_recipe(new_recipe: bool) -> None:
    verdict = judged(evidence(), new_recipe=new_recipe)
    assert verdict.passed
    assert verdict.numbers["path"] == "compared"


def test_a_new_recipe_is_held_to_superiority_and_a_refresh_to_non_inferiority() -> None:
    assert judged(evidence(), new_recipe=True).numbers["policy"] == PromotionKind.SUPERIORITY
    assert judged(evidence(), new_recipe=False).numbers["policy"] == PromotionKind.NON_INFERIORITY


def test_a_candidate_shown_to_be_worse_fails() -> None:
    better = evidence()
    swapped = evidence(candidate=better.champion, champion=better.candidate)
    assert judged(swapped).outcome is Outcome.FAIL


def test_a_higher_point_estimate_alone_does_not_pass() -> None:
    rng = np.random.default_rng(0)
    base = equal()
    noise = rng.normal(scale=0.02, size=(40, ROWS))
    verdicts = [judged(replace(base, candidate=base.candidate + n), new_recipe=True) for n in noise]
    gains = [float(verdict.numbers["average_precision.gain"] or 0) for verdict in verdicts]

    assert sum(gain > 0 for gain in gains) >= 5
    assert not any(verdict.passed for verdict in verdicts)


@pytest.mark.parametrize(
    ("age", "drifted", "outcome"),
    [
        (6.9, False, Outcome.INCONCLUSIVE),
        (7.1, False, Outcome.PASS),
        (None, False, Outcome.INCONCLUSIVE),
        (0.5, True, Outcome.PASS),
    ],
)
def test_an_equal_refresh_passes_only_when_the_champion_is_due(
    age: float | None, drifted: bool, outcome: Outcome
) -> None:
    assert judged(equal(champion_age_days=age, drifted=drifted)).outcome is outcome


def test_an_equal_new_recipe_never_passes_by_age_or_drift() -> None:
    verdict = judged(equal(champion_age_days=99.0, drifted=True), new_recipe=True)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_policy_may_ask_superiority_of_a_refresh_too() -> None:
    strict = replace(POLICY, refresh=PromotionKind.SUPERIORITY)
    verdict = judge_metrics(contest(equal(champion_age_days=99.0)), strict, 1)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_too_few_positives_are_inconclusive_on_every_path() -> None:
    labels = np.zeros(ROWS, dtype=np.int8)
    labels[: POLICY.min_positives - 1] = 1
    found = evidence(labels=labels)
    assert judged(found).outcome is Outcome.INCONCLUSIVE
    assert first_model(found).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_never_pass(value: float) -> None:
    broken: Floats = evidence().candidate.copy()
    broken[5] = value
    assert judged(evidence(candidate=broken)).outcome is Outcome.FAIL
    assert first_model(evidence(candidate=broken)).outcome is Outcome.FAIL
    assert judged(evidence(champion=broken)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_never_passes(label: int) -> None:
    found = evidence(labels=np.full(ROWS, label, dtype=np.int8))
    assert judged(found).outcome is Outcome.INCONCLUSIVE
    assert first_model(found).outcome is Outcome.INCONCLUSIVE


def test_a_slice_that_is_empty_or_harmed_stops_a_better_candidate() -> None:
    base = evidence()
    third = np.arange(ROWS) % 3 == 0
    spoiled = np.where(third, -base.candidate, base.candidate)
    harmed = replace(base, candidate=spoiled, slices={"third": third})
    empty = replace(base, slices={"nobody": np.zeros(ROWS, dtype=np.bool_)})

    assert judged(harmed).outcome is Outcome.FAIL
    assert "third" in judged(harmed).reason
    assert judged(empty).outcome is Outcome.INCONCLUSIVE
    assert "slice nobody" in judged(empty).reason


def test_a_round_says_which_it_is_and_what_the_year_has_left() -> None:
    first, later = judged(equal()), judged(equal(round_number=52))
    assert first.numbers["compared"] is True
    assert float(first.numbers["alpha_left"] or 0) == pytest.approx(0.05 - 0.045 / 52)
    assert float(later.numbers["alpha_left"] or 0) == pytest.approx(0.005)


def test_only_a_real_comparison_counts_as_a_round_of_the_year() -> None:
    one_class = evidence(labels=np.zeros(ROWS, dtype=np.int8))
    assert "compared" not in judged(one_class).numbers
    assert "compared" not in first_model(evidence()).numbers


def test_the_first_model_passes_by_the_lower_bounds_of_its_floors() -> None:
    verdict = first_model(evidence())
    assert verdict.passed
    assert verdict.numbers["path"] == "first_model"
    assert verdict.numbers["average_precision.floor"] == 0.3

    point = float(verdict.numbers["average_precision.candidate"] or 0)
    assert first_model(evidence(), floor=point - 0.001).outcome is Outcome.FAIL


def test_a_policy_without_floors_promotes_no_first_model() -> None:
    alone = contest(evidence(champion=None), champion_version=None)
    verdict = judge_metrics(alone, replace(POLICY, first_model_min={}), 1)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_champion_that_cannot_be_scored_is_inconclusive_unless_the_policy_allows() -> None:
    unscored = contest(evidence(champion=None), unscorable_reason="gone")
    allowing = replace(POLICY, allow_unscorable_champion=True)

    assert judge_metrics(unscored, POLICY, 1).outcome is Outcome.INCONCLUSIVE
    allowed = judge_metrics(unscored, allowing, 1)
    assert allowed.passed
    assert allowed.numbers["path"] == "champion_unscorable"
    assert "cannot be scored (gone), which policy tiny allows" in allowed.reason


def test_the_same_contest_is_judged_the_same_to_the_last_bit() -> None:
    found = evidence(slices={"half": np.arange(ROWS) % 2 == 0}, amounts=None)
    assert judged(found) == judged(found)
