"""The operating point: figures by hand, harm that is refused by name, and no false alarm."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.statistics.evidence import Evidence
from scheduler.statistics.judge import judge
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.operating_figures import operating_figures
from scheduler.statistics.operating_point import (
    FIGURES,
    MONEY,
    PRECISION,
    RECALL,
    VOLUME,
    OperatingPair,
    operating_point,
)
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from scheduler.statistics.sample import Bools, paired_sample
from shared.verdicts import Outcome, Verdict
from tests.scheduler.statistics.worlds import Draw, draw_evidence

TOLERATED = {PRECISION: 0.03, VOLUME: 0.25, MONEY: 0.05}
POLICY = JudgePolicy(
    PromotionKind.SUPERIORITY, operating_guards=TOLERATED, resamples=100, cost_per_alert=2.0
)


def alerting(evidence: Evidence, champion: float, candidate: float) -> Evidence:
    """The rows above these shares of each model's scores are its alerts."""
    return replace(
        evidence,
        champion_alerts=above(evidence.champion, champion),
        candidate_alerts=above(evidence.candidate, candidate),
    )


def above(scores: object, share: float) -> Bools:
    values = np.asarray(scores, dtype=np.float64)
    return np.asarray(values >= np.quantile(values, 1.0 - share), dtype=np.bool_)


def with_precision(hits: tuple[int, int], alerts: tuple[int, int]) -> Evidence:
    """Both models rank alike; each alerts on this many rows, of which so many are positive."""
    evidence = draw_evidence(positives=400, negatives=20_000, customers=3_000)
    masks = [
        np.concatenate((np.arange(400) < hit, np.arange(20_000) < all_ - hit))
        for hit, all_ in zip(hits, alerts, strict=True)
    ]
    same = evidence.candidate
    return replace(evidence, champion=same, champion_alerts=masks[0], candidate_alerts=masks[1])


def test_figures_are_what_counting_gives() -> None:
    sample = paired_sample(
        [0.0] * 6, [0.0] * 6, [1, 1, 1, 0, 0, 0],
        days=np.array([1, 1, 2, 1, 2, 2]), amounts=[10.0, 20.0, 300.0, 40.0, 50.0, 60.0],
    )  # fmt: skip
    alerted = np.array([True, False, True, True, True, False])
    point = operating_point(sample, alerted, MeasurementPlan(cost_per_alert=5.0))
    assert {name: figure.value for name, figure in point.figures.items()} == pytest.approx(
        {PRECISION: 0.5, RECALL: 2 / 3, VOLUME: 2.0, MONEY: (310.0 - 20.0) / 2}
    )
    assert (point.saved, point.missed, point.work) == pytest.approx((155.0, 10.0, 10.0))


def test_without_days_and_amounts_a_positive_is_worth_one_and_all_is_one_day() -> None:
    sample = paired_sample([0.0] * 4, [0.0] * 4, [1, 1, 0, 0])
    point = operating_point(sample, np.array([True, False, True, False]), MeasurementPlan())
    assert (point.figures[VOLUME].value, point.figures[MONEY].value) == (2.0, 1.0)


def test_alert_precision_that_falls_is_refused_though_both_models_rank_alike() -> None:
    evidence = with_precision(hits=(199, 204), alerts=(280, 340))
    assert judge(evidence, replace(POLICY, operating_guards={})).outcome is Outcome.INCONCLUSIVE
    verdict = judge(evidence, POLICY)
    assert verdict.outcome is Outcome.FAIL
    assert "at the thresholds that would be served" in verdict.reason
    assert "precision of the alerts 0.7107 -> 0.6, worse by 0.1107" in verdict.reason
    assert verdict.numbers["guard.alert_precision.candidate"] == pytest.approx(0.6)


def test_more_alerts_than_tolerated_are_refused_and_fewer_are_not() -> None:
    only = replace(POLICY, operating_guards={VOLUME: 0.25})
    more = judge(with_precision((200, 290), (280, 420)), only)
    assert more.outcome is Outcome.FAIL
    assert "alerts a day 20 -> 30, worse by 10 where 5 is tolerated" in more.reason
    assert judge(with_precision((300, 200), (420, 280)), only).outcome is not Outcome.FAIL


def test_more_alerts_that_are_as_often_right_are_no_harm_up_to_what_people_can_review() -> None:
    only = replace(POLICY, operating_guards={VOLUME: 0.25}, daily_alerts=30)
    evidence = with_precision((200, 300), (280, 420))
    verdict = judge(evidence, only)
    assert verdict.outcome is not Outcome.FAIL
    assert "find more (recall 50% -> 75%)" in str(verdict.numbers["guard.alert_volume.left_out"])
    unguarded = judge(evidence, replace(only, operating_guards={MONEY: 0.05}))
    assert "guard.alert_volume.left_out" not in unguarded.numbers
    beyond = judge(evidence, replace(only, daily_alerts=29))
    assert beyond.outcome is Outcome.FAIL
    assert "alerts a day 20 -> 30" in beyond.reason


def test_money_that_is_lost_is_refused() -> None:
    verdict = judge(
        with_precision((300, 150), (420, 210)), replace(POLICY, operating_guards={MONEY: 0.05})
    )
    assert verdict.outcome is Outcome.FAIL
    assert "money a day" in verdict.reason


def test_a_candidate_that_loses_less_than_is_tolerated_is_not_refused_for_it() -> None:
    verdict = judge(with_precision((200, 201), (280, 284)), POLICY)
    assert verdict.outcome is not Outcome.FAIL
    assert float(str(verdict.numbers["guard.alert_precision.p_harm"])) > 0.05


def test_a_champion_that_hardly_alerts_has_no_precision_to_lose() -> None:
    verdict = judge(with_precision((3, 200), (4, 280)), replace(POLICY, operating_guards=TOLERATED))
    assert "guard.alert_precision.left_out" in verdict.numbers
    only = replace(POLICY, operating_guards={PRECISION: 0.03})
    assert "cannot be compared" not in judge(with_precision((3, 200), (4, 280)), only).reason


def test_a_candidate_that_hardly_alerts_is_not_passed_without_being_measured() -> None:
    only = replace(POLICY, operating_guards={PRECISION: 0.03})
    verdict = judge(with_precision((200, 3), (280, 4)), only)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the candidate alerts on 4 of the held-out rows" in verdict.reason


def test_alerts_that_are_not_known_are_inconclusive_where_the_policy_guards_them(
    draw: Draw,
) -> None:
    verdict = judge(draw(), POLICY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "which rows the models alert on is not known" in verdict.reason


def test_an_equal_candidate_is_seldom_refused_for_its_alerts() -> None:
    """No tolerance at all, the strictest case: 5 % would be allowed, chance included 8 %."""
    none = dict.fromkeys((PRECISION, VOLUME, MONEY), 0.0)
    refused = 0
    for seed in range(300):
        evidence = draw_evidence(seed, positives=100, negatives=5_000, customers=600)
        refused += harmed(threshold_alerts(evidence, threshold=2.0), none)
    assert refused <= 24


def threshold_alerts(evidence: Evidence, threshold: float) -> Evidence:
    assert evidence.champion is not None
    return replace(
        evidence,
        champion_alerts=evidence.champion >= threshold,
        candidate_alerts=evidence.candidate >= threshold,
    )


def harmed(evidence: Evidence, tolerated: dict[str, float]) -> bool:
    verdict: Verdict = judge(evidence, replace(POLICY, operating_guards=tolerated))
    found = [verdict.numbers.get(f"guard.{name}.p_harm", 1.0) for name in tolerated]
    return min(float(str(p)) for p in found) <= POLICY.guard_alpha


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says() -> None:
    """Two equal models at one threshold: the true difference of every figure is 0."""
    outside = dict.fromkeys(FIGURES, 0)
    for seed in range(200):
        evidence = threshold_alerts(
            draw_evidence(seed, positives=150, negatives=5_000, customers=600), 2.0
        )
        for name, change in operating_figures(evidence, POLICY).changes.items():
            outside[name] += not change.lower <= 0.0 <= change.upper
    assert max(outside.values()) <= 22, outside


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.005, 0.2), st.floats(0.005, 0.2))
def test_swapping_the_models_negates_every_difference(
    seed: int, first: float, second: float
) -> None:
    evidence = alerting(
        draw_evidence(seed, positives=60, negatives=1_000, customers=100), first, second
    )
    assert evidence.champion_alerts is not None
    assert evidence.candidate_alerts is not None
    sample = evidence.sample()
    points = [
        operating_point(sample, mask, POLICY.plan)
        for mask in (evidence.champion_alerts, evidence.candidate_alerts)
    ]
    there, back = OperatingPair(sample, *points), OperatingPair(sample, *points[::-1])
    for metric in FIGURES:
        one, other = there.change(metric, 0.05), back.change(metric, 0.05)
        assert one.difference == pytest.approx(-other.difference, nan_ok=True)
        assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower), nan_ok=True)


def test_figures_of_a_candidate_alone_have_intervals_and_no_difference() -> None:
    evidence = replace(alerting(draw_evidence(), 0.02, 0.02), champion=None, champion_alerts=None)
    found = operating_figures(evidence, POLICY)
    assert set(found.intervals) == set(FIGURES)
    assert (dict(found.champion), dict(found.changes)) == ({}, {})
