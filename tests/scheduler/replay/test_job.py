"""The job `replay`: a run that a person asked for is played, shown round by round, and ended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.replay.job import ReplayContext, ReplayRunner
from scheduler.replay.report import PAGE, SUMMARY
from scheduler.schedule.jobs import REPLAY
from shared.clock import isoformat
from shared.tables.engine import connect
from shared.tables.runs import Run, RunStatus, claim_next, get_run, request_alone
from tests.scheduler.fakes import NOW_US
from tests.scheduler.replay.chronicle import START_US, WEEK_US, Chronicle
from tests.support.replay_bench import ReplayBench


class StandingClock:
    """Stands two weeks after the newest row, when its labels are known."""

    def now_us(self) -> int:
        return NOW_US + 2 * WEEK_US


def week(number: int) -> str:
    return isoformat(START_US + number * WEEK_US)


def context(bench: ReplayBench, tmp_path: Path, log: FilteringBoundLogger) -> ReplayContext:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    return ReplayContext(
        use_case=Chronicle(),
        engine=connect(url),
        database_url=url,
        folder=bench.asked.work,
        seed=1,
        latency_budget_ms=1_000.0,
        clock=StandingClock(),
        interruption=Interruption(),
        log=log,
    )


def claimed(engine: Engine, **arguments: Any) -> Run:
    request_alone(engine, REPLAY, NOW_US, "operator/anna", arguments)
    run = claim_next(engine)
    assert run is not None
    return run


def ended(played: ReplayContext, run: Run) -> Run:
    ReplayRunner(played, RunRecorder(played.engine, played.log)).execute(run)
    found = get_run(played.engine, run.run_id)
    assert found is not None
    return found


def test_a_replay_shows_its_rounds_as_steps_and_leaves_a_report(
    bench: ReplayBench, tmp_path: Path, log: FilteringBoundLogger
) -> None:
    played = context(bench, tmp_path, log)
    asked = {"begin": week(10), "end": week(26), "every": "4W", "metric": "average_precision"}
    run = ended(played, claimed(played.engine, **asked))
    assert (run.status, run.code) == (RunStatus.SUCCEEDED, "replayed"), run.message
    assert [step["step"] for step in run.steps] == ["read_history", *["round"] * 5]
    assert [step["number"] for step in run.steps[1:]] == [1, 2, 3, 4, 5]
    assert {step["of"] for step in run.steps[1:]} == {5}
    assert run.steps[1]["promoted"]
    assert run.metrics["rounds"] == 5
    folder = played.folder / run.metrics["replay"]
    assert (folder / PAGE).is_file()
    assert (folder / SUMMARY).is_file()
    played.engine.dispose()


def test_a_replay_that_is_asked_for_again_plays_no_round_twice(
    bench: ReplayBench, tmp_path: Path, log: FilteringBoundLogger
) -> None:
    played = context(bench, tmp_path, log)
    asked = {"begin": week(10), "end": week(18), "every": "4W"}
    first = ended(played, claimed(played.engine, **asked))
    request_alone(played.engine, REPLAY, NOW_US + 1, "operator/anna", asked)
    again = claim_next(played.engine)
    assert again is not None
    second = ended(played, again)
    assert second.metrics == first.metrics
    assert [step["step"] for step in second.steps] == ["read_history"]
    assert second.steps[0]["finished_earlier"] == 3
    played.engine.dispose()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"begin": "not a day"}, "is not a date"),
        ({"begin": "1990-01-01", "end": "1991-01-01"}, "no history there"),
        ({"every": "1H"}, "more than 400 rounds"),
        ({"every": "nonsense"}, "every"),
        ({"begin": week(20), "end": week(10)}, "is before begin"),
    ],
)
def test_what_cannot_be_played_ends_with_the_reason(
    bench: ReplayBench,
    tmp_path: Path,
    log: FilteringBoundLogger,
    changes: dict[str, str],
    told: str,
) -> None:
    played = context(bench, tmp_path, log)
    asked = {"begin": week(10), "end": week(26), "every": "4W", **changes}
    run = ended(played, claimed(played.engine, **asked))
    assert (run.status, run.code) == (RunStatus.FAILED, "replay_impossible")
    assert told in str(run.message)
    played.engine.dispose()


def test_a_stop_request_ends_a_replay_between_two_rounds_and_keeps_the_finished_ones(
    bench: ReplayBench, tmp_path: Path, log: FilteringBoundLogger
) -> None:
    stopped = context(bench, tmp_path, StoppingLog(log))
    StoppingLog.interruption = stopped.interruption
    asked = {"begin": week(10), "end": week(26), "every": "4W"}
    run = claimed(stopped.engine, **asked)
    report = ReplayRunner(stopped, RunRecorder(stopped.engine, log)).execute(run)
    assert report.code == "interrupted"
    goes_on = replace(stopped, interruption=Interruption(), log=log)
    request_alone(stopped.engine, REPLAY, NOW_US + 1, "operator/anna", asked)
    again = claim_next(stopped.engine)
    assert again is not None
    second = ended(goes_on, again)
    assert second.status is RunStatus.SUCCEEDED
    assert second.steps[0]["finished_earlier"] == 1
    stopped.engine.dispose()


class StoppingLog:
    """Asks for a stop when the first round has ended."""

    interruption: Interruption

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def info(self, event: str, **members: Any) -> None:
        if members.get("step") == "round":
            self.interruption.request()
        self._log.info(event, **members)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)
