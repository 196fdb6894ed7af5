"""Four outcomes each: measured and good, measured and bad, unclear, not measurable."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from scheduler.cycle.interruption import Interrupted
from scheduler.gates.api_health import judge_api_health
from scheduler.gates.contest import Contest
from scheduler.gates.judging import judged
from scheduler.gates.latency import TIMED_ROWS, WARM_UP_ROWS, judge_latency
from scheduler.gates.metrics import judge_metrics
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import POLICY, PocketApi

ROWS = np.ones((3, 2), dtype=np.float32)


class CountingModel:
    """Counts how many rows each call scored."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        self.calls.append(len(matrix))
        return matrix[:, :1]


class SlowTimer:
    """Says that every measurement took this long."""

    def __init__(self, milliseconds: float) -> None:
        self._ticks = self._tell(round(milliseconds * 1e6))

    def __call__(self) -> int:
        return next(self._ticks)

    @staticmethod
    def _tell(nanoseconds: int) -> Iterator[int]:
        now = 0
        while True:
            yield now
            now += nanoseconds
            yield now


def contest(**changes: object) -> Contest:
    """A candidate that ranks 200 positives of 2,000 well, against a champion that does not."""
    rng = np.random.default_rng(3)
    labels = (np.arange(2_000) % 10 == 0).astype(np.int8)
    base = Contest(
        labels=labels,
        clusters=np.column_stack((rng.integers(0, 400, 2_000), rng.integers(0, 30, 2_000))),
        candidate=labels + rng.normal(scale=0.5, size=2_000),
        champion=labels + rng.normal(scale=0.8, size=2_000),
        champion_version="1.0.0",
        champion_age_days=1.0,
        new_recipe=False,
        unscorable_reason=None,
        metrics={"average_precision": 0.6},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def equal(**changes: object) -> Contest:
    scores = contest().candidate
    return contest(champion=scores, **changes)


def test_latency_is_measured_one_row_at_a_time_after_a_warm_up() -> None:
    model = CountingModel()
    verdict = judge_latency(model, ROWS, 5.0, SlowTimer(2.0))

    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["p95_ms"] == 2.0
    assert model.calls == [1] * (WARM_UP_ROWS + TIMED_ROWS)


def test_latency_above_the_budget_fails() -> None:
    assert judge_latency(CountingModel(), ROWS, 5.0, SlowTimer(5.1)).outcome is Outcome.FAIL


def test_latency_without_rows_is_inconclusive() -> None:
    verdict = judge_latency(CountingModel(), ROWS[:0], 5.0)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_healthy_api_passes_and_a_sick_one_fails() -> None:
    assert judge_api_health(PocketApi(), first_model=False).passed
    sick = PocketApi(statuses={"/readyz": 503})
    assert judge_api_health(sick, first_model=False).outcome is Outcome.FAIL


def test_an_api_that_calls_itself_down_fails_but_degraded_passes() -> None:
    down, degraded = PocketApi(state="down"), PocketApi(state="degraded")
    assert judge_api_health(down, first_model=False).outcome is Outcome.FAIL
    assert judge_api_health(degraded, first_model=False).passed
    assert judge_api_health(down, first_model=True).passed


def test_an_api_without_a_model_need_not_be_ready_for_its_first_one() -> None:
    assert judge_api_health(PocketApi(statuses={"/readyz": 503}), first_model=True).passed


def test_an_api_that_does_not_answer_is_an_error_not_a_failure() -> None:
    assert judge_api_health(PocketApi(away=True), first_model=False).outcome is Outcome.ERROR


def test_a_gate_that_breaks_says_error() -> None:
    def break_down() -> Verdict:
        raise ZeroDivisionError("oh")

    verdict = judged("latency", break_down)
    assert (verdict.gate, verdict.outcome) == ("latency", Outcome.ERROR)
    assert "ZeroDivisionError: oh" in verdict.reason


def test_a_stop_request_goes_through_a_gate() -> None:
    def stop() -> Verdict:
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        judged("latency", stop)


def test_figures_that_json_does_not_have_become_none() -> None:
    verdict = judged("m", lambda: Verdict("m", Outcome.PASS, "", {"a": np.nan, "b": np.inf}))
    assert verdict.numbers == {"a": None, "b": None}


def test_a_candidate_shown_to_be_better_passes_whatever_the_recipe() -> None:
    for new_recipe in (False, True):
        assert judge_metrics(contest(new_recipe=new_recipe), POLICY, 1).passed


def test_a_candidate_shown_to_be_worse_fails() -> None:
    better = contest()
    swapped = contest(candidate=better.champion, champion=better.candidate)
    assert judge_metrics(swapped, POLICY, 1).outcome is Outcome.FAIL


def test_a_higher_point_estimate_alone_does_not_pass() -> None:
    rng = np.random.default_rng(0)
    base = equal(new_recipe=True)
    noise = rng.normal(scale=0.02, size=(40, 2_000))
    verdicts = [
        judge_metrics(replace(base, candidate=base.candidate + n), POLICY, 1) for n in noise
    ]
    gains = [float(str(verdict.numbers["difference"])) for verdict in verdicts]

    assert sum(gain > 0 for gain in gains) > 5
    assert sum(verdict.passed for verdict in verdicts) <= 6


def test_an_equal_refresh_passes_only_past_the_champions_age() -> None:
    fresh, old = equal(champion_age_days=6.9), equal(champion_age_days=7.1)
    assert judge_metrics(fresh, POLICY, 1).outcome is Outcome.INCONCLUSIVE
    assert judge_metrics(old, POLICY, 1).passed
    assert judge_metrics(equal(champion_age_days=None), POLICY, 1).outcome is Outcome.INCONCLUSIVE


def test_an_equal_new_recipe_never_passes_by_age() -> None:
    verdict = judge_metrics(equal(champion_age_days=99.0, new_recipe=True), POLICY, 1)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_too_few_positives_are_inconclusive() -> None:
    labels = np.zeros(2_000, dtype=np.int8)
    labels[: POLICY.min_positives - 1] = 1
    assert judge_metrics(contest(labels=labels), POLICY, 1).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_never_pass(value: float) -> None:
    broken = contest().candidate.copy()
    broken[5] = value
    assert judge_metrics(contest(candidate=broken), POLICY, 1).outcome is Outcome.FAIL
    verdict = judge_metrics(contest(champion=broken), POLICY, 1)
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_never_passes(label: int) -> None:
    labels = np.full(2_000, label, dtype=np.int8)
    assert not judge_metrics(contest(labels=labels), POLICY, 1).passed
    first = contest(labels=labels, champion_version=None, champion=None)
    assert not judge_metrics(first, POLICY, 1).passed


def first_model(**changes: object) -> Contest:
    return contest(champion_version=None, champion=None, champion_age_days=None, **changes)


def test_the_first_model_passes_by_its_floors_and_beats_chance() -> None:
    verdict = judge_metrics(first_model(), POLICY, 1)
    assert verdict.passed
    assert verdict.numbers["path"] == "first model"
    assert verdict.numbers["average_precision_min"] == 0.3


@pytest.mark.parametrize(
    ("metrics", "outcome"),
    [
        ({"average_precision": 0.29}, Outcome.FAIL),
        ({"average_precision": np.nan}, Outcome.INCONCLUSIVE),
        ({}, Outcome.INCONCLUSIVE),
    ],
)
def test_a_first_model_below_or_without_its_floor_does_not_pass(
    metrics: dict[str, float], outcome: Outcome
) -> None:
    assert judge_metrics(first_model(metrics=metrics), POLICY, 1).outcome is outcome


def test_a_first_model_no_better_than_chance_does_not_pass() -> None:
    noise = np.random.default_rng(0).normal(size=2_000)
    verdict = judge_metrics(first_model(candidate=noise), POLICY, 1)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_policy_without_floors_promotes_no_first_model() -> None:
    verdict = judge_metrics(first_model(), replace(POLICY, first_model_min={}), 1)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_champion_that_cannot_be_scored_is_inconclusive_unless_the_policy_allows() -> None:
    unscored = contest(champion=None, unscorable_reason="gone")
    assert judge_metrics(unscored, POLICY, 1).outcome is Outcome.INCONCLUSIVE
    allowed = judge_metrics(unscored, replace(POLICY, allow_unscorable_champion=True), 1)
    assert allowed.passed
    assert "gone" in str(allowed.numbers["path"])
