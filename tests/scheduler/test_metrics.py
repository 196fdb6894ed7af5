"""Every due instant is counted by how it ended, from the rows themselves."""

import socket

from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.metrics import ScheduleFigures, scheduler_registry, serve_metrics
from scheduler.schedule.watcher import REQUESTED_BY
from shared.tables.job_schedules import (
    JobSchedule,
    ScheduleAnswer,
    schedule_transaction,
    write_answers,
    write_schedule,
)
from shared.tables.runs import RunStatus, claim_next, finish, request_run

JOB = "retraining"
HOUR = 3_600_000_000


def told(engine: Engine) -> str:
    registry = CollectorRegistry()
    registry.register(ScheduleFigures(engine))
    return generate_latest(registry).decode()


def ended(engine: Engine, hour: int, status: RunStatus, requested_by: str = REQUESTED_BY) -> None:
    run_id = request_run(engine, JOB, hour * HOUR, requested_by)
    finish(engine, run_id, status, "code", "")


def test_every_status_is_counted_under_its_outcome(engine: Engine) -> None:
    for hour, status in enumerate(RunStatus):
        if status not in {RunStatus.REQUESTED, RunStatus.RUNNING}:
            ended(engine, hour, status)
    request_run(engine, JOB, 99 * HOUR, REQUESTED_BY)
    claim_next(engine)
    figures = told(engine)

    for outcome, name in (
        ("succeeded", "SUCCEEDED"),
        ("succeeded", "REFUSED"),
        ("failed", "FAILED"),
        ("skipped", "SKIPPED"),
        ("missed", "MISSED"),
    ):
        labels = f'job_name="{JOB}",outcome="{outcome}",status="{name}"'
        assert f"understudy_runs_total{{{labels}}} 1.0" in figures
    assert f'understudy_runs_unfinished{{job_name="{JOB}",status="RUNNING"}} 1.0' in figures


def test_due_instants_are_counted_since_the_last_that_was_done(engine: Engine) -> None:
    ended(engine, 1, RunStatus.MISSED)
    ended(engine, 2, RunStatus.REFUSED)
    ended(engine, 3, RunStatus.FAILED)
    ended(engine, 4, RunStatus.FAILED, "operator")
    with schedule_transaction(engine) as connection:
        write_answers(
            connection,
            JOB,
            [ScheduleAnswer(5 * HOUR, RunStatus.SKIPPED, "overlap", "")],
            REQUESTED_BY,
        )
    assert f'understudy_runs_due_since_success{{job_name="{JOB}"}} 2.0' in told(engine)
    ended(engine, 6, RunStatus.SUCCEEDED, "operator")
    assert f'understudy_runs_due_since_success{{job_name="{JOB}"}} 0.0' in told(engine)


def test_the_schedule_in_force_is_told(engine: Engine) -> None:
    schedule = JobSchedule(
        JOB, "1W", True, 0, 0, 0, 7_000_000, 5_000_000, "soon is not an interval"
    )
    with schedule_transaction(engine) as connection:
        write_schedule(connection, schedule)
    figures = told(engine)

    assert f'understudy_schedule_problem{{job_name="{JOB}"}} 1.0' in figures
    assert f'understudy_schedule_checked_timestamp_seconds{{job_name="{JOB}"}} 5.0' in figures
    assert f'understudy_schedule_next_due_timestamp_seconds{{job_name="{JOB}"}} 7.0' in figures


def test_a_database_that_is_away_is_a_figure_too(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE ModelTrainingRuns RENAME TO hidden"))

    assert told(engine).count("understudy_scheduler_database_up 0.0") == 1


def test_figures_are_served_and_a_port_that_is_taken_costs_nothing_else(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.listen()
        with capture_logs() as logs:
            serve_metrics(scheduler_registry(engine), "127.0.0.1", port, log)
    assert [entry["event"] for entry in logs] == ["metrics_not_served"]
