"""Old rows become files; live features are what they were."""

from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, Table, func, insert, select

from shared.clock import MICROS_PER_DAY
from shared.rows.row_store import DeclaredRowStore
from shared.rows.tables import row_logs, tables_of
from shared.tables.archive import FolderArchive, TooYoung, archive_rows
from shared.tables.data_changes import TRANSACTION_LOGS, RowLogs
from shared.tables.schema import api_transaction_logs, label_changes, transaction_history_logs
from shared.tables.writer import write_decisions, write_history, write_labels
from shared.transaction import Label, Transaction
from tests.support.churn_rows import churn
from tests.usecases.fraud.features.frames import START, record, transaction
from usecases.fraud.features.online import FraudFeatureSource

NOW_US = START + 1_000 * MICROS_PER_DAY


def _at(number: int, days: float, user: str = "ann") -> Transaction:
    return transaction(number, START + round(days * MICROS_PER_DAY), user_id=user)


def _write(engine: Engine, rows: list[Transaction]) -> None:
    half = len(rows) // 2
    with engine.begin() as connection:
        write_history(connection, [record(row) for row in rows[:half]])
        scored = {"model_version": "1.0.0", "component_scores": {"a": 0.5}, "score": 0.5}
        write_decisions(connection, [{**record(row), **scored} for row in rows[half:]])


def test_features_of_live_rows_are_the_same_before_and_after(
    engine: Engine, tmp_path: Path
) -> None:
    days = [0, 1, 2, 300, 599, 601, 980, 990, 999]
    rows = [_at(10 * number, day) for number, day in enumerate(days)]
    rows += [_at(10 * number + 1, day, "bob") for number, day in enumerate([0, 5, 9, 20])]
    _write(engine, rows)
    live = [_at(900, 1_000), _at(901, 1_000, "bob"), _at(902, 1_000, "new")]
    before = [FraudFeatureSource(engine).vector(row).tobytes() for row in live]
    counts = archive_rows(engine, TRANSACTION_LOGS, tmp_path / "old", NOW_US, 400)
    assert sum(counts.values()) == 5
    assert [FraudFeatureSource(engine).vector(row).tobytes() for row in live] == before


def test_the_files_hold_what_left_the_database(engine: Engine, tmp_path: Path) -> None:
    _write(engine, [_at(number, number) for number in range(20)])
    archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 400)
    for log in (transaction_history_logs, api_transaction_logs):
        (file,) = (tmp_path / log.name).iterdir()
        archived = pl.read_parquet(file)
        with engine.connect() as connection:
            left = connection.scalar(select(func.count()).select_from(log))
        assert (archived.height, left) == (8, 2)
        assert set(archived.columns) == set(log.columns.keys())
    assert archived["component_scores"].to_list() == ['{"a":0.5}'] * 8


def test_a_second_time_moves_nothing(engine: Engine, tmp_path: Path) -> None:
    _write(engine, [_at(number, number) for number in range(20)])
    archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 400)
    counts = archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 400)
    assert not any(counts.values())


def test_a_row_that_a_label_is_being_written_to_leaves_with_the_next_run(
    engine: Engine, tmp_path: Path
) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    _write(engine, [_at(number, number) for number in range(20)])
    with engine.connect() as labelling, labelling.begin():
        write_labels(labelling, [Label("t000003", 1, NOW_US, "test")])
        first = archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 400)
    second = archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 400)
    assert (first["transactionhistorylogs"], first["apitransactionlogs"]) == (7, 8)
    assert (second["transactionhistorylogs"], second["apitransactionlogs"]) == (1, 0)


def test_rows_stay_where_the_file_cannot_be_written(engine: Engine, tmp_path: Path) -> None:
    _write(engine, [_at(number, number) for number in range(20)])
    folder = tmp_path / "a file"
    folder.write_text("")
    with pytest.raises(OSError, match="a file"):
        archive_rows(engine, TRANSACTION_LOGS, folder, NOW_US, 400)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(transaction_history_logs)) == 10


def test_rows_that_training_needs_are_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(TooYoung, match="180 days"):
        archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 30)


def test_declared_rows_go_with_their_decisions(engine: Engine, tmp_path: Path) -> None:
    store, tables = DeclaredRowStore(churn()), tables_of(churn())
    store.prepare(engine)
    columns = ("row_id", "entity", "event_time", "ingested_at", "model_version")
    records = [("old", "a", START, START, "1.0.0"), ("new", "a", NOW_US, NOW_US, "1.0.0")]
    with engine.begin() as connection:
        store.write_decisions(connection, columns, records)
    counts = archive_rows(engine, row_logs(tables), tmp_path, NOW_US, 400)
    assert sorted(counts.values()) == [0, 0, 1, 1]


def test_two_archives_of_one_second_keep_the_rows_of_both(engine: Engine, tmp_path: Path) -> None:
    _write(engine, [_at(number, number) for number in range(20)])
    first = archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 400)
    _write(engine, [_at(number, number) for number in range(20, 40)])
    second = archive_rows(engine, TRANSACTION_LOGS, tmp_path, NOW_US, 400)
    for log in (transaction_history_logs, api_transaction_logs):
        files = (tmp_path / log.name).iterdir()
        kept = sum(pl.read_parquet(file).height for file in files)
        assert kept == first[log.name] + second[log.name] > first[log.name] > 0


class LateLabels:
    """A folder of files; while replaced labels are written, more of them come."""

    def __init__(self, folder: Path, engine: Engine, ids: list[str]) -> None:
        self._folder, self._engine, self._ids = FolderArchive(folder), engine, ids
        self.kept: dict[str, int] = {}

    def erase(self, logs: RowLogs, entity: str) -> int:
        return self._folder.erase(logs, entity)

    def write(self, table: Table, part: str, rows: pl.DataFrame) -> None:
        self._folder.write(table, part, rows)
        self.kept[table.name] = self.kept.get(table.name, 0) + rows.height
        if table is label_changes:
            with self._engine.begin() as other:
                other.execute(insert(label_changes), [_replaced(one) for one in self._ids])


def _replaced(row_id: str) -> dict[str, object]:
    return {"transaction_id": row_id, "label": 0, "label_known_at": START, "label_source": "late",
            "replaced_at": START + 2, "new_label": 1}  # fmt: skip


def test_what_is_stored_of_a_row_while_it_leaves_is_not_deleted_unwritten(
    engine: Engine, tmp_path: Path
) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    _write(engine, [_at(number, number) for number in range(20)])
    with engine.begin() as connection:
        connection.execute(insert(label_changes), [_replaced("t000003")])
    place = LateLabels(tmp_path, engine, ["t000003", "t000004"])
    archive_rows(engine, TRANSACTION_LOGS, place, NOW_US, 400)
    with engine.connect() as connection:
        left = connection.scalar(select(func.count()).select_from(label_changes))
    assert place.kept[label_changes.name] + (left or 0) == 3
