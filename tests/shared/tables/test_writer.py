"""Rows are stored once, whoever sends them twice; the tiles always count what is stored."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, text

from shared.clock import MICROS_PER_HOUR
from shared.tables.engine import connect, migrate
from shared.tables.schema import api_transaction_logs, merchant_tiles
from shared.tables.tiles import rebuild_tiles
from shared.tables.writer import write_decisions, write_history, write_labels
from shared.transaction import Label

HOUR = MICROS_PER_HOUR
Tiles = dict[tuple[str, int, int, str], tuple[int, int]]


def _row(key: str, hour: int = 10, known: int | None = None, **others: Any) -> dict[str, Any]:
    row = {
        "transaction_id": key,
        "user_id": "u1",
        "event_time": hour * HOUR + 5,
        "ingested_at": (hour if known is None else known) * HOUR + 5,
        "amount": 12.5,
        "currency": "EUR",
        "merchant_id": "m1",
        "transaction_type": "purchase",
    }
    return {**row, **others}


def _decision(key: str, hour: int = 10, known: int | None = None, **others: Any) -> dict[str, Any]:
    return _row(key, hour, known, model_version="1.0.0", **others)


def _labelled(hour: int, label: int = 1) -> dict[str, Any]:
    return {"label": label, "label_known_at": hour * HOUR, "label_source": "chargeback"}


def _tiles(connection: Connection) -> Tiles:
    return {tuple(row[:4]): tuple(row[4:]) for row in connection.execute(select(merchant_tiles))}


def _rebuilt(connection: Connection) -> Tiles:
    rebuild_tiles(connection)
    return _tiles(connection)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        yield connection


def test_a_row_written_twice_is_stored_and_counted_once(connection: Connection) -> None:
    assert write_history(connection, [_row("a"), _row("b"), _row("a", amount=99.0)]) == 2
    assert write_history(connection, [_row("a"), _row("c")]) == 1
    assert _tiles(connection) == {("m1", 10, 10, "row"): (3, 0)}
    first = text("SELECT amount FROM TransactionHistoryLogs WHERE transaction_id = 'a'")
    assert connection.scalar(first) == 12.5


def test_writing_nothing_is_fine(connection: Connection) -> None:
    assert write_history(connection, []) == 0
    assert write_decisions(connection, []) == 0
    assert write_labels(connection, []) == []


def test_both_clocks_are_in_the_tile(connection: Connection) -> None:
    write_history(connection, [_row("a", 10, known=14, **_labelled(200))])
    assert _tiles(connection) == {
        ("m1", 10, 14, "row"): (1, 0),
        ("m1", 10, 200, "label"): (1, 1),
    }


def test_a_decision_keeps_its_json_and_its_vector(connection: Connection) -> None:
    row = _decision(
        "a",
        component_scores={"classifier": 0.25, "autoencoder": float("nan")},
        reason_codes=[{"code": "AMOUNT", "value": 12.5}],
        matched_rules=[],
        feature_vector=b"\x00\x01\xff",
    )
    assert write_decisions(connection, [row]) == 1
    stored = connection.execute(select(api_transaction_logs)).one()
    assert stored.component_scores == {"classifier": 0.25, "autoencoder": None}
    assert stored.reason_codes == [{"code": "AMOUNT", "value": 12.5}]
    assert stored.matched_rules == []
    assert bytes(stored.feature_vector) == b"\x00\x01\xff"
    assert stored.label is None


def test_json_that_is_absent_is_null_in_sql(connection: Connection) -> None:
    write_decisions(connection, [_decision("a")])
    query = text("SELECT count(*) FROM APITransactionLogs WHERE reason_codes IS NULL")
    assert connection.scalar(query) == 1


@pytest.mark.parametrize(("history_first", "known_hour"), [(True, 10), (False, 12)])
def test_a_transaction_in_both_logs_counts_once_since_it_was_first_known(
    connection: Connection, history_first: bool, known_hour: int
) -> None:
    history, live = _row("a", 10, **_labelled(300)), _decision("a", 10, known=12)
    writes: list[tuple[Any, dict[str, Any]]] = [(write_history, history), (write_decisions, live)]
    for write, row in writes if history_first else reversed(writes):
        assert write(connection, [row]) == 1
    assert _tiles(connection) == {
        ("m1", 10, known_hour, "row"): (1, 0),
        ("m1", 10, 300, "label"): (1, 1),
    }
    query = text("SELECT ingested_at FROM APITransactionLogs")
    assert connection.scalar(query) == known_hour * HOUR + 5


def test_a_label_reaches_both_logs_and_unknown_ids_are_left_out(connection: Connection) -> None:
    write_history(connection, [_row("a"), _row("b")])
    write_decisions(connection, [_decision("a")])
    labels = [Label("a", 1, 50 * HOUR, "analyst"), Label("nobody", 1, 50 * HOUR, "analyst")]
    assert write_labels(connection, labels) == ["a"]
    for table in ("TransactionHistoryLogs", "APITransactionLogs"):
        row = connection.execute(
            text(f"SELECT label, label_source FROM {table} WHERE transaction_id = 'a'")
        ).one()
        assert tuple(row) == (1, "analyst")
    assert _tiles(connection)["m1", 10, 50, "label"] == (1, 1)


def test_a_correction_moves_the_label_and_leaves_no_empty_tile(connection: Connection) -> None:
    write_history(connection, [_row("a")])
    write_labels(connection, [Label("a", 1, 50 * HOUR, "chargeback")])
    write_labels(connection, [Label("a", 0, 60 * HOUR, "analyst")])
    assert _tiles(connection) == {
        ("m1", 10, 10, "row"): (1, 0),
        ("m1", 10, 60, "label"): (1, 0),
    }


def test_an_old_label_that_is_replayed_cannot_undo_a_correction(connection: Connection) -> None:
    write_history(connection, [_row("a")])
    write_labels(connection, [Label("a", 0, 60 * HOUR, "analyst")])
    before = _tiles(connection)
    assert write_labels(connection, [Label("a", 1, 50 * HOUR, "chargeback")]) == ["a"]
    assert _tiles(connection) == before


def test_the_same_label_again_changes_nothing(connection: Connection) -> None:
    write_history(connection, [_row("a")])
    label = Label("a", 1, 50 * HOUR, "chargeback")
    write_labels(connection, [label])
    before = _tiles(connection)
    write_labels(connection, [label, label])
    assert _tiles(connection) == before


def test_thousands_of_ids_fit_in_one_statement(connection: Connection) -> None:
    rows = [_row(f"t{number}") for number in range(40_000)]
    assert write_history(connection, rows) == 40_000
    assert write_history(connection, rows) == 0


KEYS = st.sampled_from(["a", "b", "c", "d"])
HOURS = st.integers(0, 3)
LABELS = st.one_of(st.just({}), st.builds(_labelled, HOURS, st.integers(0, 1)))


def _steps(make: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.tuples(KEYS, HOURS, HOURS, st.sampled_from(["m1", "m2"]), LABELS)
    return st.lists(
        row.map(lambda r: make(r[0], r[1], known=r[2], merchant_id=r[3], **r[4])), max_size=4
    )


STEP = st.one_of(
    st.tuples(st.just("history"), _steps(_row)),
    st.tuples(st.just("decisions"), _steps(_decision)),
    st.tuples(
        st.just("labels"),
        st.lists(
            st.builds(
                Label, KEYS, st.integers(0, 1), HOURS.map(lambda h: h * HOUR), st.just("analyst")
            ),
            max_size=4,
        ),
    ),
)
WRITERS: Mapping[str, Any] = {
    "history": write_history,
    "decisions": write_decisions,
    "labels": write_labels,
}


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder: Path = tmp_path_factory.mktemp("tiles")
    engine = connect(f"sqlite:///{folder}/understudy.db")
    migrate(engine)
    yield engine
    engine.dispose()


@given(steps=st.lists(STEP, max_size=8))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_counting_as_rows_come_equals_counting_again_from_the_rows(
    shared_engine: Engine, steps: list[tuple[str, Any]]
) -> None:
    with shared_engine.connect() as connection:
        for kind, batch in steps:
            WRITERS[kind](connection, batch)
        counted = _tiles(connection)
        assert counted == _rebuilt(connection)
        connection.rollback()


def test_rebuilding_agrees_on_every_database(connection: Connection) -> None:
    write_history(connection, [_row("a", 1), _row("b", 2, **_labelled(9)), _row("c", 3)])
    write_decisions(connection, [_decision("b", 2, known=4, **_labelled(8, 0)), _decision("d")])
    write_labels(connection, [Label("d", 1, 70 * HOUR, "analyst")])
    counted = _tiles(connection)
    assert _rebuilt(connection) == counted


def test_writers_at_the_same_time_count_every_transaction_once(engine: Engine) -> None:
    keys = [f"t{number}" for number in range(60)]

    def write(kind: str) -> None:
        for start in range(0, len(keys), 6):
            # each goes through the ids in its own order: rows and tiles meet both ways round
            some = keys[start : start + 6] if kind == "history" else keys[-start - 6 :][:6]
            make = _row if kind == "history" else _decision
            with engine.begin() as connection:
                WRITERS[kind](connection, [make(key, known=11) for key in some])
                write_labels(connection, [Label(some[0], 1, 90 * HOUR, "analyst")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, ["history", "decisions", "history", "decisions"]))
    with engine.begin() as connection:
        counted = _tiles(connection)
        assert counted["m1", 10, 11, "row"] == (60, 0)
        assert counted == _rebuilt(connection)
