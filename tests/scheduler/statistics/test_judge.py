"""The judgement: what passes, what fails, and that nothing passes by default."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.statistics.evidence import Evidence
from scheduler.statistics.judge import judge
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from shared.verdicts import Outcome
from tests.scheduler.statistics.worlds import Draw, draw_evidence

BETTER = JudgePolicy(PromotionKind.SUPERIORITY)
REFRESH = JudgePolicy(PromotionKind.NON_INFERIORITY, margin=0.05)


def test_a_clearly_better_candidate_passes_with_every_number(draw: Draw) -> None:
    verdict = judge(draw(positives=400, gain=0.06), BETTER)
    assert verdict.outcome is Outcome.PASS
    assert verdict.gate == "metrics"
    for name in ("positives", "alpha", "auc.champion", "auc.candidate", "auc.gain", "auc.lower"):
        assert name in verdict.numbers


def test_an_equal_candidate_is_not_shown_to_be_better(draw: Draw) -> None:
    verdict = judge(draw(), BETTER)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "not shown to be better" in verdict.reason


def test_a_clearly_worse_candidate_fails_under_either_policy(draw: Draw) -> None:
    evidence = replace(draw(positives=400, gain=-0.08), drifted=True)
    assert judge(evidence, BETTER).outcome is Outcome.FAIL
    assert judge(evidence, REFRESH).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("age", "drifted", "outcome"),
    [
        (40.0, False, Outcome.PASS),
        (28.0, False, Outcome.INCONCLUSIVE),
        (None, False, Outcome.INCONCLUSIVE),
        (1.0, True, Outcome.PASS),
    ],
)
def test_a_refresh_needs_an_old_champion_or_drift(
    draw: Draw, age: float | None, drifted: bool, outcome: Outcome
) -> None:
    evidence = replace(draw(), champion_age_days=age, drifted=drifted)
    assert judge(evidence, REFRESH).outcome is outcome


def test_a_refresh_that_may_lose_more_than_the_margin_is_inconclusive(draw: Draw) -> None:
    evidence = replace(draw(), drifted=True)
    verdict = judge(evidence, replace(REFRESH, margin=0.001))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no worse" in verdict.reason


def test_too_few_matured_positives_are_inconclusive_however_good_they_look(draw: Draw) -> None:
    verdict = judge(draw(positives=99, gain=0.14), BETTER)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "99 matured positives, 100 are needed" in verdict.reason


def test_harm_on_one_slice_stops_a_better_candidate(draw: Draw) -> None:
    evidence = draw(positives=600, gain=0.06)
    new = np.arange(len(evidence.labels)) % 4 == 0
    spoiled = np.where(new, -evidence.candidate, evidence.candidate)
    verdict = judge(replace(evidence, candidate=spoiled, slices={"new": new}), BETTER)
    assert verdict.outcome is Outcome.FAIL
    assert "new" in verdict.reason
    assert verdict.numbers["guard.new.p_harm"] == pytest.approx(0.0, abs=1e-6)


def test_harm_on_a_guard_metric_stops_it_too(draw: Draw) -> None:
    evidence = draw(positives=400, gain=-0.05)
    policy = replace(REFRESH, margin=0.2, guard_metrics={"average_precision": 0.0}, resamples=300)
    verdict = judge(replace(evidence, drifted=True), policy)
    assert verdict.outcome is Outcome.FAIL
    assert "average_precision" in verdict.reason


def test_a_slice_of_one_class_or_of_nothing_is_never_passed_over(draw: Draw) -> None:
    evidence = draw(positives=400, gain=0.06)
    nothing = np.zeros(len(evidence.labels), dtype=np.bool_)
    for mask in (nothing, evidence.labels == 0, evidence.labels == 1):
        verdict = judge(replace(evidence, slices={"odd": mask}), BETTER)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "slice odd" in verdict.reason


def test_held_out_rows_inside_a_training_window_are_not_evidence(draw: Draw) -> None:
    evidence = replace(draw(positives=400, gain=0.06), trained_until_us=5, held_out_from_us=5)
    assert judge(evidence, BETTER).outcome is Outcome.INCONCLUSIVE
    assert judge(replace(evidence, held_out_from_us=6), BETTER).outcome is Outcome.PASS


def test_a_champion_that_could_not_be_scored_is_no_reason_to_promote(draw: Draw) -> None:
    verdict = judge(replace(draw(gain=0.06), champion=None), BETTER)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "champion has no scores" in verdict.reason


def test_customers_that_are_unknown_stand_for_themselves(draw: Draw) -> None:
    evidence = draw(positives=400, gain=0.06)
    names = np.array([None if i % 3 else f"c{i}" for i in range(len(evidence.labels))], object)
    assert judge(replace(evidence, customers=names), BETTER).outcome is Outcome.PASS


BREAKS: dict[str, Callable[[Evidence], Evidence]] = {
    "empty": lambda e: Evidence(np.empty(0), np.empty(0), np.empty(0)),
    "nan": lambda e: replace(e, candidate=np.where(e.labels == 1, np.nan, e.candidate)),
    "infinite": lambda e: replace(e, champion=np.full(len(e.labels), np.inf)),
    "one class": lambda e: replace(e, labels=np.zeros_like(e.labels)),
    "all positive": lambda e: replace(e, labels=np.ones_like(e.labels)),
    "unmatured": lambda e: replace(e, labels=np.where(e.labels == 1, np.nan, 0.0)),
    "short": lambda e: replace(e, labels=e.labels[:-1]),
    "short days": lambda e: replace(e, days=np.zeros(3, dtype=np.int64)),
    "no round": lambda e: replace(e, round_number=0),
    "few": lambda e: replace(
        e, labels=np.where(np.cumsum(e.labels) <= 99, e.labels, 0).astype(np.int8)
    ),
    "empty slice": lambda e: replace(e, slices={"s": np.zeros(len(e.labels), dtype=np.bool_)}),
    "same scores": lambda e: replace(e, champion=e.candidate, champion_age_days=1.0),
    "constant": lambda e: replace(e, candidate=np.zeros(len(e.labels))),
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(BREAKS)),
    st.sampled_from(list(PromotionKind)),
    st.integers(0, 500),
    st.floats(-0.1, 0.14),
)
def test_degenerate_evidence_never_passes(
    name: str, kind: PromotionKind, seed: int, gain: float
) -> None:
    evidence = replace(draw_evidence(seed, 150, 600, gain=gain), drifted=name != "same scores")
    verdict = judge(BREAKS[name](evidence), JudgePolicy(kind))
    assert verdict.outcome in {Outcome.INCONCLUSIVE, Outcome.FAIL}
