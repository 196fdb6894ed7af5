"""The schema arrives by migration, the same on both databases, whoever starts first."""

import multiprocessing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.errors import DataUnavailable, SettingsError
from shared.tables.engine import connect, database_errors, migrate, to_json
from tests.support.declared_schema import schema_differences


def _migrate_in_a_process(url: str) -> None:
    engine = connect(url)
    migrate(engine)
    engine.dispose()


def test_the_migrations_lead_to_exactly_the_declared_schema(engine: Engine) -> None:
    with engine.connect() as connection:
        assert schema_differences(connection) == []


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM retrainingconfig")) == 1


def test_processes_that_start_at_once_migrate_once(database_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = (_migrate_in_a_process, (database_url,))
    processes = [spawn.Process(target=start[0], args=start[1]) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]


def test_unquoted_sql_in_mixed_case_works(engine: Engine) -> None:
    with engine.begin() as connection:
        changed = connection.execute(
            text("UPDATE RetrainingConfig SET Interval = '1D' WHERE ConfigId = 1")
        )
        assert changed.rowcount == 1
        row = connection.execute(text("SELECT Interval, IsEnabled FROM RetrainingConfig")).one()
        assert tuple(row) == ("1D", 1)
        query = "SELECT Transaction_Id, Label FROM TransactionHistoryLogs"
        assert connection.execute(text(query)).all() == []
        connection.execute(text("UPDATE RetrainingConfig SET IsEnabled = 0"))
        connection.execute(text("SELECT RunId, RunDate, Metrics FROM ModelTrainingRuns"))
        connection.execute(text("INSERT INTO FeaturesConfig VALUES ('geo', 0)"))


def test_a_database_from_a_newer_version_is_refused_in_words(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="does not fit this version"):
        migrate(engine)


def test_a_database_that_is_down_is_unavailable_not_a_driver_error(tmp_path: Path) -> None:
    engine = connect(f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(DataUnavailable, match="could not migrate the database"):
        migrate(engine)


@pytest.mark.parametrize("url", ["nonsense", "mysql://root@localhost/db"])
def test_a_url_that_cannot_work_names_the_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        connect(url)


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/deep/down/understudy.db")
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
    engine.dispose()


def test_json_never_holds_what_a_database_refuses() -> None:
    assert to_json({"auc": float("nan"), 1: float("inf")}) == '{"auc":null,"1":null}'


def test_other_errors_pass_through_untouched() -> None:
    with pytest.raises(ValueError, match="mine"), database_errors("test"):
        raise ValueError("mine")
