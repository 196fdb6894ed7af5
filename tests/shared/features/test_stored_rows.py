"""Rows that others stored are listed; a run that can only be our own is not read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.features.stored_rows import MAX_ROWS, RowWatch, watch
from shared.tables.data_changes import begin_change, remove_rows, undo
from shared.tables.engine import connect, migrate
from shared.tables.schema import transaction_history_logs
from shared.tables.writer import write_history_records

COLUMNS = (
    "transaction_id", "user_id", "event_time", "ingested_at", "amount", "currency", "merchant_id",
    "transaction_type",
)  # fmt: skip


class Asked:
    """Says of every run whether it is ours, and keeps what it was asked about."""

    def __init__(self, *, ours: bool) -> None:
        self.runs: list[tuple[int, str, str]] = []
        self._ours = ours

    def __call__(self, count: int, first: str, last: str) -> bool:
        self.runs.append((count, first, last))
        return self._ours


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path}/rows.db")
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def rows(engine: Engine) -> RowWatch:
    store(engine, ["before"])
    found = watch(engine)
    assert found is not None
    assert found.new(Asked(ours=True)) is None
    return found


def store(engine: Engine, names: list[str]) -> None:
    with engine.begin() as connection:
        write_history_records(
            connection, COLUMNS, [(name, "u", 1, 1, 1.0, "EUR", "m", "buy") for name in names]
        )


def test_new_rows_are_listed_once(engine: Engine, rows: RowWatch) -> None:
    asked = Asked(ours=False)
    assert rows.new(asked) == ()
    store(engine, ["a", "b", "c"])
    assert rows.new(asked) == [("u", "a"), ("u", "b"), ("u", "c")]
    assert rows.new(asked) == ()
    assert asked.runs == [(3, "a", "c")]


def test_a_run_of_our_own_is_told_by_its_ends_and_not_listed(
    engine: Engine, rows: RowWatch
) -> None:
    asked = Asked(ours=True)
    store(engine, ["a", "b", "c"])
    assert rows.new(asked) == []
    store(engine, ["d"])
    assert rows.new(asked) == []
    assert asked.runs == [(3, "a", "c"), (1, "d", "d")]


def test_of_very_many_new_rows_only_that_is_told(engine: Engine, rows: RowWatch) -> None:
    store(engine, [str(number) for number in range(MAX_ROWS + 1)])
    assert rows.new(Asked(ours=True)) is None


def test_rows_removed_and_put_back_by_command_make_everything_new(
    engine: Engine, rows: RowWatch
) -> None:
    asked = Asked(ours=True)
    store(engine, ["a", "b"])
    rows.new(asked)
    with engine.begin() as connection:
        number = begin_change(connection, "remove", 1, "a test", {})
        remove_rows(connection, number, transaction_history_logs, ["a"])
    assert rows.new(asked) is None
    assert rows.new(asked) == ()
    undo(engine, number, 2, "a mistake")
    assert rows.new(asked) is None
