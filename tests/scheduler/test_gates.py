"""Four outcomes each: measured and good, measured and bad, unclear, not measurable."""

from collections.abc import Iterator

import numpy as np
import pytest

from scheduler.cycle.interruption import Interrupted
from scheduler.gates import TIMED_ROWS, WARM_UP_ROWS, judge_api_health, judge_latency, judged
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import PocketApi

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
