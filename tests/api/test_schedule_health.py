"""The API reports the schedule's state, which the scheduler stores in the database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from api.routes.health import UNATTENDED_SECONDS, schedule_standing
from shared.clock import MICROS_PER_SECOND
from shared.tables.engine import connect, migrate
from shared.tables.job_schedules import JobSchedule, schedule_transaction, write_schedule
from shared.tables.schema import retraining_config

NOW_US = 1_767_225_600_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    migrate(engine)
    yield engine
    engine.dispose()


def in_force(engine: Engine, interval: str, problem: str | None = None) -> None:
    with schedule_transaction(engine) as connection:
        times = (NOW_US, NOW_US, None, NOW_US)
        schedule = JobSchedule("retraining", interval, True, 0, *times, problem)
        write_schedule(connection, schedule)


def configure(engine: Engine, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(retraining_config).values(**values))


def test_a_schedule_that_somebody_looks_after_is_well(engine: Engine) -> None:
    in_force(engine, "1W")
    standing = schedule_standing(engine, NOW_US + 5)

    assert (standing.state, standing.detail) == ("ok", "on schedule")
    assert standing.figures["interval_in_force"] == "1W"


def test_a_schedule_that_was_answered_ahead_of_time_is_not_on_schedule(engine: Engine) -> None:
    month_us = 30 * 86_400 * MICROS_PER_SECOND
    later = NOW_US + month_us
    schedule = JobSchedule("retraining", "12H", True, 0, NOW_US, later, later, later)
    with schedule_transaction(engine) as connection:
        write_schedule(connection, schedule)
    standing = schedule_standing(engine, NOW_US)
    assert standing.state == "degraded"
    assert "clock is 2,592,000 s ahead" in standing.detail

    with schedule_transaction(engine) as connection:
        write_schedule(connection, replace(schedule, checked_at_us=NOW_US))
    assert "though one is due at" in schedule_standing(engine, NOW_US).detail


def test_a_bad_interval_is_told_with_what_is_in_force_instead(engine: Engine) -> None:
    in_force(engine, "6H")
    configure(engine, interval="every full moon")
    standing = schedule_standing(engine, NOW_US)

    assert standing.state == "degraded"
    assert "every full moon" in standing.detail
    assert standing.detail.endswith("6H stays in force")


def test_what_the_scheduler_could_not_read_is_told_in_its_words(engine: Engine) -> None:
    in_force(engine, "6H", "an older scheduler does not know '1W'; 6H stays in force")

    assert "does not know '1W'" in schedule_standing(engine, NOW_US).detail


def test_a_schedule_that_nobody_looks_after_is_told(engine: Engine) -> None:
    in_force(engine, "1W")
    later_us = NOW_US + (UNATTENDED_SECONDS + 1) * MICROS_PER_SECOND

    assert "no scheduler has checked" in schedule_standing(engine, later_us).detail


def test_switched_off_is_no_trouble(engine: Engine) -> None:
    configure(engine, isenabled=0)

    assert schedule_standing(engine, NOW_US).detail == "switched off by IsEnabled = 0"


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/folder/x.db")
    (tmp_path / "folder" / "x.db").mkdir()

    assert schedule_standing(engine, NOW_US).state == "degraded"
