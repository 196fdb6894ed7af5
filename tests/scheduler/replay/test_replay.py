"""A replay does what the cycle would have done, and says how that turned out."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from scheduler.replay.plan import Policy, ReplayImpossible
from scheduler.replay.summary import summarize
from scheduler.replay.workspace import STAND_IN
from shared.clock import isoformat
from shared.errors import DataUnavailable
from shared.tables.engine import connect, database_errors
from shared.tables.runs import RunStatus
from shared.verdicts import Outcome
from tests.scheduler.replay.chronicle import WEEK_US, Chronicle
from tests.support.replay_bench import ReplayBench, weekly


def test_each_policy_serves_what_it_would_have_served(bench: ReplayBench) -> None:
    rounds, _ = bench.play()
    first, last = rounds[0], rounds[-1]
    assert first.outcome.promoted
    assert set(first.serving.values()) == {first.candidate}
    assert last.serving[Policy.NEVER] == first.candidate
    assert last.serving[Policy.ALWAYS] == last.candidate
    promoted = [record.candidate for record in rounds if record.outcome.promoted]
    assert last.serving[Policy.GATE] == promoted[-1]
    assert len(promoted) > 1


def test_after_a_turn_of_the_world_who_never_retrains_falls_behind(bench: ReplayBench) -> None:
    rounds, _ = bench.play()
    scores = [
        [record.scored(policy)["average_precision"] for policy in (Policy.NEVER, Policy.GATE)]
        for record in rounds
    ]
    assert scores[0][0] == scores[0][1]
    never, gate = scores[-1]
    assert never is not None
    assert gate is not None
    assert gate > never + 0.2
    means = {each.policy: each.means["average_precision"].value for each in summarize(rounds)}
    assert means[Policy.GATE] > means[Policy.NEVER]  # type: ignore[operator]


def test_a_model_is_judged_on_rows_that_came_after_the_round(bench: ReplayBench) -> None:
    rounds, _ = bench.play()
    everything = Chronicle().snapshot(bench.asked.history, bench.asked.known_us)
    for record in rounds:
        span = record.span
        inside = everything["event_time"].is_between(span.as_of_us, span.until_us, closed="left")
        assert record.rows == inside.sum()
        assert record.positives == everything.filter(inside)["label"].sum()


def test_rows_whose_label_is_not_known_yet_are_counted_and_judge_nobody(bench: ReplayBench) -> None:
    last = bench.asked.spans[-1]
    rounds, _ = bench.play(known_us=last.as_of_us + WEEK_US - 1)
    assert rounds[-1].rows == 0
    assert rounds[-1].unlabelled > 0
    assert all(scores == {} for scores in rounds[-1].scores.values())


def test_runs_carry_the_dates_of_the_simulated_clock(bench: ReplayBench) -> None:
    rounds, _ = bench.play()
    for record in rounds:
        assert record.run["rundate"] == isoformat(record.span.as_of_us)
        assert record.run["finishedat"] == isoformat(record.span.as_of_us)


def test_the_health_of_a_stand_in_is_never_called_measured(bench: ReplayBench) -> None:
    rounds, _ = bench.play()
    [health] = [each for each in rounds[0].run["verdicts"] if each["gate"] == "api_health"]
    assert STAND_IN in health["reason"]


def test_a_round_that_a_gate_refuses_says_why_and_changes_nothing(bench: ReplayBench) -> None:
    rounds, _ = bench.play(use_case=Chronicle(quality=Outcome.FAIL))
    assert {record.status for record in rounds} == {RunStatus.REFUSED}
    assert all("data_quality" in record.reason for record in rounds)
    assert all(version is None for record in rounds for version in record.serving.values())


def test_a_training_that_breaks_is_one_failed_round(bench: ReplayBench) -> None:
    rounds, _ = bench.play(use_case=Chronicle(training_error="out of luck"))
    assert {(record.status, record.reason) for record in rounds} == {
        (RunStatus.FAILED, "out of luck")
    }


def test_nothing_can_be_written_to_the_history(bench: ReplayBench) -> None:
    with (
        pytest.raises(DataUnavailable, match="readonly"),
        database_errors("write"),
        bench.asked.history.begin() as connection,
    ):
        connection.execute(text("DELETE FROM featuresconfig"))


def test_a_replay_leaves_the_history_as_it_was(bench: ReplayBench, tmp_path: Path) -> None:
    bench.play()
    with sqlite3.connect(tmp_path / "history.db") as database:
        assert database.execute("SELECT count(*) FROM ModelTrainingRuns").fetchone() == (0,)
    database.close()


def test_features_switched_off_in_production_are_switched_off_in_the_replay(
    bench: ReplayBench, tmp_path: Path
) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'history.db'}")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO FeaturesConfig (FeatureName, IsEnabled) VALUES ('noise', 0)")
        )
    engine.dispose()
    use_case = Chronicle()
    bench.play(use_case=use_case)
    assert set(use_case.trained_on) == {("size", "speed")}


def test_a_range_without_history_says_where_there_is_some(bench: ReplayBench) -> None:
    with pytest.raises(ReplayImpossible, match="no history there: it reaches from"):
        bench.play(spans=weekly(40, 45))


def test_no_history_at_all_says_how_to_get_some(bench: ReplayBench) -> None:
    with pytest.raises(ReplayImpossible, match="understudy import"):
        bench.play(use_case=Chronicle(rows=0))
