"""The worker: requested runs are claimed in order, and every run ends in a final state."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.records import Retries, RunRecorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.runner import CycleRunner
from scheduler.schedule.jobs import JobRunner
from scheduler.schedule.worker import Worker
from shared.errors import DataUnavailable
from shared.tables.engine import connect
from shared.tables.leases import announce_push, request_cancel
from shared.tables.runs import (
    JobChoice,
    Run,
    RunStatus,
    claim_next,
    get_run,
    list_runs,
    request_alone,
    request_run,
)
from tests.support.cycle_bench import CycleBench

ATTEMPTS = 3


@dataclass
class FailingRunner:
    """Fails in the way it is told to."""

    recorder: RunRecorder
    code: str = "api_unavailable"
    executed: list[Run] = field(default_factory=list)

    def execute(self, run: Run) -> RunReport:
        self.executed.append(run)
        report = RunReport()
        report.end(RunStatus.FAILED, self.code, "nobody answers")
        self.recorder.record(run, report)
        return report


def worker_of(
    engine: Engine, log: FilteringBoundLogger, runner: JobRunner, recorder: RunRecorder
) -> Worker:
    return Worker(
        engine=engine,
        runners={"retraining": runner},
        recorder=recorder,
        owner="me",
        lease_seconds=60,
        attempts=ATTEMPTS,
        log=log,
    )


def cycle_worker(bench: CycleBench, engine: Engine | None = None) -> Worker:
    runner = CycleRunner(bench.context, bench.recorder)
    return worker_of(engine or bench.context.engine, bench.context.log, runner, bench.recorder)


def row(engine: Engine, run_id: int) -> Run:
    run = get_run(engine, run_id)
    assert run is not None
    return run


def test_a_requested_run_is_executed_and_the_next_one_after_it(bench: CycleBench) -> None:
    engine, now_us = bench.context.engine, bench.clock.now_us()
    first = request_run(engine, "retraining", now_us, "operator")
    second = request_run(engine, "retraining", now_us + 1, "operator")
    worker = cycle_worker(bench)
    for _ in range(3):
        worker.tick()

    assert [run.run_id for run in list_runs(engine)] == [second, first]
    assert [run.status for run in list_runs(engine)] == [RunStatus.NOT_DUE, RunStatus.SUCCEEDED]
    assert worker.running is None


def test_the_number_of_the_claim_travels_with_the_push(bench: CycleBench) -> None:
    run_id = request_run(bench.context.engine, "retraining", bench.clock.now_us(), "operator")
    cycle_worker(bench).tick()

    assert bench.api.fencing_numbers == [row(bench.context.engine, run_id).fencing_number]


def test_what_a_dead_scheduler_left_running_is_taken_over_and_done(bench: CycleBench) -> None:
    engine = bench.context.engine
    run_id = request_run(engine, "retraining", bench.clock.now_us(), "operator")
    claim_next(engine, "dead", lease_seconds=-1)
    cycle_worker(bench).tick()

    run = row(engine, run_id)
    assert (run.status, run.lease_owner, run.attempts) == (RunStatus.SUCCEEDED, "me", 2)


def test_a_transient_failure_is_tried_again_a_declared_number_of_times(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    recorder = RunRecorder(engine, log, Retries(ATTEMPTS, 1e-9).pause_seconds)
    runner = FailingRunner(recorder)
    worker = worker_of(engine, log, runner, recorder)
    run_id = request_run(engine, "retraining", 1, "operator")
    for _ in range(ATTEMPTS + 2):
        worker.tick()

    assert [run.attempts for run in runner.executed] == [1, 2, 3]
    assert (row(engine, run_id).status, row(engine, run_id).code) == (
        RunStatus.FAILED,
        "api_unavailable",
    )


def test_a_pause_lies_between_two_attempts(engine: Engine, log: FilteringBoundLogger) -> None:
    recorder = RunRecorder(engine, log, Retries(ATTEMPTS, 60).pause_seconds)
    runner = FailingRunner(recorder)
    worker = worker_of(engine, log, runner, recorder)
    run_id = request_run(engine, "retraining", 1, "operator")
    worker.tick()
    worker.tick()

    assert len(runner.executed) == 1
    waiting = row(engine, run_id)
    assert (waiting.status, waiting.message) == (RunStatus.REQUESTED, "attempt 1: nobody answers")


def test_pauses_grow_and_what_is_no_accident_is_not_tried_again(engine: Engine) -> None:
    retries = Retries(attempts=4, first_pause_seconds=15)
    request_run(engine, "retraining", 1, "operator")
    report = RunReport()
    report.end(RunStatus.FAILED, "data_unavailable", "")
    runs = [run for _ in range(4) if (run := claim_next(engine, lease_seconds=-1))]

    assert [retries.pause_seconds(run, report) for run in runs] == [15, 60, 240, None]
    report.end(RunStatus.FAILED, "training_failed", "")
    assert retries.pause_seconds(runs[0], report) is None


def test_a_run_that_never_ends_is_given_up_after_the_declared_attempts(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    run_id = request_run(engine, "retraining", 1, "operator")
    for _ in range(ATTEMPTS):
        claim_next(engine, "dead", lease_seconds=-1)
    recorder = RunRecorder(engine, log)
    runner = FailingRunner(recorder)
    worker_of(engine, log, runner, recorder).tick()

    assert runner.executed == []
    assert row(engine, run_id).code == "attempts_used_up"


def test_a_run_cancelled_while_its_scheduler_was_dead_is_not_begun_again(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    run_id = request_run(engine, "retraining", 1, "operator")
    claim_next(engine, "dead", lease_seconds=-1)
    request_cancel(engine, run_id, "somebody")
    recorder = RunRecorder(engine, log)
    worker_of(engine, log, FailingRunner(recorder), recorder).tick()

    run = row(engine, run_id)
    assert (run.status, run.message) == (RunStatus.SKIPPED, "cancelled by somebody")


def test_a_push_that_arrived_before_its_sender_died_is_not_repeated(bench: CycleBench) -> None:
    engine = bench.context.engine
    bench.run()
    [(raw, _signature)] = bench.api.pushed
    pushed = list_runs(engine)[0]
    assert pushed.decision is not None
    run_id = request_run(engine, "retraining", bench.clock.now_us(), "schedule")
    dead = claim_next(engine, "dead", lease_seconds=-1)
    assert dead is not None
    assert dead.fencing_number is not None
    announce_push(
        engine,
        run_id,
        dead.fencing_number,
        -1,
        modelversion=pushed.model_version,
        candidatesha256=pushed.decision["inputs"]["candidate_sha256"],
        decision=pushed.decision,
    )
    cycle_worker(bench).tick()

    assert row(engine, run_id).status is RunStatus.SUCCEEDED
    assert row(engine, run_id).model_version == pushed.model_version
    assert row(engine, run_id).steps[0]["step"] == "earlier_push"
    assert [sent for sent, _ in bench.api.pushed] == [raw]


def test_a_scheduler_that_lost_its_lease_while_it_trained_cannot_promote(
    bench: CycleBench,
) -> None:
    engine = bench.context.engine
    run_id = request_run(engine, "retraining", bench.clock.now_us(), "schedule")
    lost = claim_next(engine, "slow", lease_seconds=-1)
    assert lost is not None
    taken = claim_next(engine, "quick", lease_seconds=60)
    assert taken is not None
    report = CycleRunner(bench.context, bench.recorder).execute(lost)

    assert report.code == "lease_lost"
    assert bench.api.pushed == []
    run = row(engine, run_id)
    assert (run.status, run.fencing_number) == (RunStatus.RUNNING, taken.fencing_number)


def test_a_database_that_is_away_stops_nothing(bench: CycleBench, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    away = connect(f"sqlite:///{tmp_path / 'folder'}")
    worker = cycle_worker(bench, away)
    worker.tick()
    worker.tick()

    assert worker.running is None


def test_an_end_that_could_not_be_recorded_is_recorded_later(bench: CycleBench) -> None:
    engine = bench.context.engine
    run_id = request_run(engine, "retraining", bench.clock.now_us(), "operator")
    run = claim_next(engine)
    assert run is not None
    report = RunReport()
    report.end(RunStatus.FAILED, "data_unavailable", "away")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ModelTrainingRuns RENAME TO hidden")
    bench.recorder.record(run, report)
    with pytest.raises(DataUnavailable):
        bench.recorder.flush()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO ModelTrainingRuns")
    bench.recorder.flush()

    assert (row(engine, run_id).status, row(engine, run_id).message) == (RunStatus.FAILED, "away")


def test_a_job_that_nobody_here_knows_fails_in_words(bench: CycleBench) -> None:
    engine = bench.context.engine
    run_id = request_run(engine, "gardening", bench.clock.now_us(), "operator")
    cycle_worker(bench).tick()

    assert (row(engine, run_id).status, row(engine, run_id).code) == (
        RunStatus.FAILED,
        "unknown_job",
    )


def test_a_worker_of_replays_and_the_other_worker_take_nothing_of_each_other(
    bench: CycleBench,
) -> None:
    engine, log = bench.context.engine, bench.context.log
    replays = FailingRunner(bench.recorder, code="replay_impossible")
    others = FailingRunner(bench.recorder, code="error")
    options: dict[str, Any] = {"engine": engine, "recorder": bench.recorder, "owner": "me",
                               "lease_seconds": 60, "attempts": 1, "log": log}  # fmt: skip
    of_replays = Worker(runners={"replay": replays}, jobs=JobChoice(only=("replay",)), **options)
    of_others = Worker(runners={"retraining": others}, jobs=JobChoice(without=("replay",)),
                       **options)  # fmt: skip
    first = request_run(engine, "retraining", 1, "anna")
    second, is_new = request_alone(engine, "replay", 2, "anna", {"begin": "2026-01-01"})
    assert is_new
    assert request_alone(engine, "replay", 3, "bert", {}) == (second, False)
    of_replays.tick()
    of_replays.tick()
    assert [run.run_id for run in replays.executed] == [second]
    assert replays.executed[0].arguments == {"begin": "2026-01-01"}
    of_others.tick()
    of_others.tick()
    assert [run.run_id for run in others.executed] == [first]
