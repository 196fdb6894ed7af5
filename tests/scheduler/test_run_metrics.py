"""Finished runs are counted once, from their rows, by every scheduler alike."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.core import Metric
from sqlalchemy import Engine, update

import usecases
from scheduler.decision import API_HEALTH, LATENCY, METRICS
from scheduler.run_metrics import COMPARED, COMPARING_GATE, FinishedRuns, RunMetrics
from scheduler.statistics import verdict_numbers
from shared.clock import MICROS_PER_DAY
from shared.tables.runs import RunStatus, claim_next, finish, request_run
from shared.tables.schema import model_training_runs
from tests.support.clocks import StoppedClock

POLICY = usecases.promotion_policy(usecases.DEFAULT)
NOW_US = 20_400 * MICROS_PER_DAY
DAY = "retraining"


def verdict(gate: str, outcome: str, **numbers: Any) -> dict[str, Any]:
    return {"gate": gate, "outcome": outcome, "reason": "", "numbers": numbers}


def ran(engine: Engine, day: int, verdicts: list[Any], steps: list[Any] | None = None) -> int:
    run_id = request_run(engine, DAY, NOW_US + day * MICROS_PER_DAY, "schedule")
    claim_next(engine)
    finish(engine, run_id, RunStatus.REFUSED, "c", "", verdicts=verdicts, steps=steps or [])
    return run_id


def figures(engine: Engine) -> dict[tuple[str, ...], float]:
    metrics = RunMetrics(engine, POLICY, StoppedClock(NOW_US))
    families: list[Metric] = list(metrics.collect())
    return {
        (one.name, *one.labels.values()): one.value for family in families for one in family.samples
    }


def test_the_names_are_those_of_the_modules_that_are_too_large_to_import() -> None:
    assert {COMPARING_GATE} == {METRICS}
    assert verdict_numbers.COMPARED == COMPARED
    zero = {gate for gate, _ in FinishedRuns(None).verdicts}  # type: ignore[arg-type]
    assert {LATENCY, API_HEALTH, METRICS} <= zero


def test_gates_durations_and_steps_are_zero_before_the_first_run(engine: Engine) -> None:
    found = figures(engine)
    assert found["understudy_gate_verdicts_total", "metrics", "ERROR"] == 0
    assert found["understudy_run_duration_seconds_count", "retraining"] == 0
    assert found["understudy_yearly_comparisons",] == 0
    assert found["understudy_yearly_error_left",] == found["understudy_yearly_error_limit",] > 0


def test_verdicts_steps_and_the_years_error_are_counted(engine: Engine) -> None:
    steps = [{"step": "train", "duration_seconds": 2.5}, {"step": "decide"}]
    run_id = ran(engine, 0, [verdict("metrics", "FAIL", compared=True)], steps)
    ran(engine, 1, [verdict("latency", "ERROR"), verdict("metrics", "PASS")], steps)
    values = {"startedat": "2026-01-01T00:00:00Z", "finishedat": "2026-01-01T00:02:00Z"}
    with engine.begin() as connection:
        row = model_training_runs.c.runid == run_id
        connection.execute(update(model_training_runs).where(row).values(values))
    found = figures(engine)
    assert found["understudy_gate_verdicts_total", "metrics", "FAIL"] == 1
    assert found["understudy_gate_verdicts_total", "latency", "ERROR"] == 1
    assert found["understudy_step_duration_seconds_count", "retraining", "train"] == 2
    assert found["understudy_step_duration_seconds_sum", "retraining", "train"] == 5.0
    assert found["understudy_run_duration_seconds_bucket", "retraining", "60.0"] == 1
    assert found["understudy_run_duration_seconds_bucket", "retraining", "300.0"] == 2
    assert found["understudy_yearly_comparisons",] == 1
    left, limit = found["understudy_yearly_error_left",], found["understudy_yearly_error_limit",]
    assert 0 < left < limit


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(st.lists(st.sampled_from(["begin", "end", "read"]), max_size=12))
def test_each_run_counts_once_whenever_it_ends_and_whenever_it_is_read(
    engine: Engine, steps: list[str]
) -> None:
    with engine.begin() as connection:
        connection.execute(model_training_runs.delete())
    runs, open_runs, ended = FinishedRuns(engine), list[int](), 0
    for at, step in enumerate(steps):
        if step == "begin":
            open_runs.append(request_run(engine, DAY, at * MICROS_PER_DAY, "schedule"))
        elif step == "end" and open_runs:
            # the newest first: an older one may still be in progress
            verdicts = [verdict("metrics", "PASS")]
            finish(engine, open_runs.pop(), RunStatus.FAILED, "", "", verdicts=verdicts)
            ended += 1
        else:
            runs.read()
            runs.read()
    runs.read()
    assert runs.verdicts["metrics", "PASS"] == ended


def test_a_database_that_is_away_costs_the_figures_only(engine: Engine) -> None:
    metrics = RunMetrics(engine, POLICY, StoppedClock(NOW_US))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE modeltrainingruns")
    assert list(metrics.collect()) == []
