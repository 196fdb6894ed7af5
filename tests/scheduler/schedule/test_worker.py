"""The worker: requested runs are claimed in order, and every run ends in a final state."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from scheduler.cycle.records import RunRecorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.runner import CycleRunner
from scheduler.schedule.table import DatabaseScheduleTable
from scheduler.schedule.watcher import ScheduleWatcher
from scheduler.schedule.worker import Worker
from shared.errors import DataUnavailable
from shared.tables.engine import connect
from shared.tables.runs import RunStatus, claim_next, get_run, list_runs, request_run
from shared.tables.schema import model_training_runs
from tests.scheduler.conftest import CycleBench


def worker_of(bench: CycleBench, engine: Engine | None = None) -> Worker:
    engine = engine or bench.parts.engine
    watcher = ScheduleWatcher(DatabaseScheduleTable(engine), bench.clock, bench.parts.log)
    return Worker(
        engine=engine,
        runners={"retraining": CycleRunner(bench.parts, bench.recorder)},
        recorder=bench.recorder,
        watcher=watcher,
        clock=bench.clock,
        log=bench.parts.log,
    )


def test_a_requested_run_is_executed_and_the_next_one_after_it(bench: CycleBench) -> None:
    engine, now_us = bench.parts.engine, bench.clock.now_us()
    first = request_run(engine, "retraining", now_us, "operator")
    second = request_run(engine, "retraining", now_us + 1, "operator")
    worker = worker_of(bench)
    for _ in range(3):
        worker.tick()

    assert [run.run_id for run in list_runs(engine)] == [second, first]
    assert [run.status for run in list_runs(engine)] == [RunStatus.REFUSED, RunStatus.SUCCEEDED]
    assert worker.running is None


def test_what_a_dead_process_left_running_is_ended_as_interrupted(bench: CycleBench) -> None:
    engine = bench.parts.engine
    run_id = request_run(engine, "retraining", bench.clock.now_us(), "operator")
    claim_next(engine)
    worker_of(bench).tick()

    run = get_run(engine, run_id)
    assert run is not None
    assert (run.status, run.code) == (RunStatus.FAILED, "interrupted")


def test_a_database_that_is_away_stops_nothing(bench: CycleBench, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    away = connect(f"sqlite:///{tmp_path / 'folder'}")
    worker = worker_of(bench, away)
    worker.tick()
    worker.tick()

    assert worker.running is None


def test_an_end_that_could_not_be_recorded_is_recorded_later(bench: CycleBench) -> None:
    engine = bench.parts.engine
    run_id = request_run(engine, "retraining", bench.clock.now_us(), "operator")
    claim_next(engine)
    report = RunReport()
    report.end(RunStatus.FAILED, "data_unavailable", "away")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ModelTrainingRuns RENAME TO hidden")
    bench.recorder.record(run_id, report)
    with pytest.raises(DataUnavailable):
        bench.recorder.flush()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO ModelTrainingRuns")
    bench.recorder.flush()

    run = get_run(engine, run_id)
    assert run is not None
    assert (run.status, run.message) == (RunStatus.FAILED, "away")


def test_ending_orphans_leaves_finished_runs_alone(bench: CycleBench) -> None:
    engine = bench.parts.engine
    bench.run()
    with engine.begin() as connection:
        before = connection.execute(model_training_runs.select()).one()
        connection.execute(update(model_training_runs).values(statusmessage="kept"))

    assert RunRecorder(engine, bench.parts.log).end_orphans() == 0
    run = get_run(engine, before.runid)
    assert run is not None
    assert run.message == "kept"


def test_a_job_that_nobody_here_knows_fails_in_words(bench: CycleBench) -> None:
    engine = bench.parts.engine
    run_id = request_run(engine, "gardening", bench.clock.now_us(), "operator")
    worker_of(bench).tick()

    run = get_run(engine, run_id)
    assert run is not None
    assert (run.status, run.code) == (RunStatus.FAILED, "unknown_job")
