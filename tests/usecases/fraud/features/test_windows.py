"""Kept windows: the same bits as reading again, whoever else writes."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.features.fetch import SqliteFetch
from shared.features.stored_rows import StoredRows
from shared.tables.data_changes import begin_change, remove_rows
from shared.tables.engine import connect, migrate
from shared.tables.schema import api_transaction_logs
from shared.tables.writer import write_decisions, write_history
from shared.transaction import Transaction
from shared.usecase.serving import WindowBounds
from tests.support.reserved import reserved
from tests.usecases.fraud.features.frames import (
    DAY,
    HOUR,
    MINUTE,
    START,
    frame,
    record,
    transaction,
)
from usecases.fraud.features.batch import compute
from usecases.fraud.features.catalogue import FEATURE_SET, MAX_PRIOR_ROWS
from usecases.fraud.features.online import FraudFeatureSource
from usecases.fraud.features.pasts import Pasts
from usecases.fraud.features.windows import RecentWindows

USERS = ("ann", "bob", "eve")


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/windows.db"
    migrate(connect(url))
    return url


def store(engine: Engine, rows: Sequence[Transaction]) -> None:
    with engine.begin() as connection:
        write_decisions(connection, [{**record(row), "model_version": "1.0.0"} for row in rows])


def windows_of(source: FraudFeatureSource) -> RecentWindows:
    assert source.windows is not None
    return source.windows


def count_24h(source: FraudFeatureSource, row: Transaction) -> float:
    return float(source.vector(row)[FEATURE_SET.names.index("cnt_24h")])


@pytest.mark.parametrize("most", [MAX_PRIOR_ROWS, 3, 30])
def test_a_stream_with_other_writers_gets_the_bits_of_reading_anew(url: str, most: int) -> None:
    dice = random.Random(4)
    engine, elsewhere = connect(url), connect(url)
    source = FraudFeatureSource(engine, max_prior_rows=most)
    plain = FraudFeatureSource(engine, max_prior_rows=most)
    plain.windows = None
    waiting: list[Transaction] = []
    now_us, kept = START, 0
    for number in range(1_000):
        now_us += dice.choice((1, MINUTE, HOUR, 9 * HOUR))
        late_us = dice.choice((0, 0, 0, 0, MINUTE, 2 * DAY, 40 * DAY, -HOUR))
        row = _any_row(dice, number, now_us - late_us, now_us)
        if dice.random() < 0.1:
            _store_elsewhere(dice, elsewhere, row)
            continue
        kept += windows_of(source).held(row.user_id) is not None
        assert source.vector(row).tobytes() == plain.vector(row).tobytes(), number
        for one in (source, plain):
            one.remember(row)
        waiting.append(row)
        if dice.random() < 0.1:
            store(engine, waiting)
            for one in (source, plain):
                one.forget([stored.transaction_id for stored in waiting])
            waiting.clear()
    assert kept > 300


@pytest.mark.parametrize("most", [MAX_PRIOR_ROWS, 4])
@pytest.mark.parametrize("max_users", [2, 100])
def test_rows_that_come_in_together_get_the_bits_of_rows_one_by_one(
    url: str, max_users: int, most: int
) -> None:
    dice = random.Random(5)
    engine, elsewhere = connect(url), connect(url)
    source = FraudFeatureSource(
        engine, bounds=WindowBounds(max_users, 100_000), max_prior_rows=most
    )
    plain = FraudFeatureSource(engine, max_prior_rows=most)
    plain.windows, plain.pasts = None, Pasts(plain.live, None)
    waiting: list[Transaction] = []
    now_us = START
    for tick in range(60):
        rows = []
        for number in range(dice.choice((1, 2, 7, 40))):
            now_us += dice.choice((1, MINUTE, HOUR))
            late_us = dice.choice((0,) * 9 + (HOUR,))
            rows.append(_any_row(dice, 100 * tick + number, now_us - late_us, now_us))
        if dice.random() < 0.2:
            _store_elsewhere(dice, elsewhere, replace(rows[0], transaction_id=f"other{tick}"))
        vectors = reserved(source, rows)
        for row, vector in zip(rows, vectors, strict=True):
            assert vector.tobytes() == plain.vector(row).tobytes(), (tick, row)
            plain.remember(row)
        waiting += rows
        if dice.random() < 0.3:
            store(engine, waiting)
            for one in (source, plain):
                one.forget([stored.transaction_id for stored in waiting])
            waiting.clear()
        assert len(windows_of(source)) <= max_users


def test_more_rows_than_are_taken_together_see_each_other(url: str) -> None:
    source = FraudFeatureSource(connect(url))
    rows = [transaction(number, START + number) for number in range(600)]
    counts = reserved(source, rows)[:, FEATURE_SET.names.index("cnt_24h")]
    assert counts.tolist() == list(range(600))


def test_a_row_whose_window_is_void_is_told_anew_and_so_are_those_after_it(url: str) -> None:
    source = FraudFeatureSource(connect(url))
    first = transaction(1, START)
    late = transaction(2, START - HOUR, ingested_at_us=START + 1)
    last = transaction(3, START + MINUTE)
    counts = reserved(source, [first, late, last])[:, FEATURE_SET.names.index("cnt_24h")]
    assert counts.tolist() == [0.0, 0.0, 2.0]


def test_late_rows_of_a_user_with_many_rows_get_the_same_bits_and_keep_no_window(url: str) -> None:
    source, plain = FraudFeatureSource(connect(url)), FraudFeatureSource(connect(url))
    plain.windows = None
    rows = [transaction(number, START + number * MINUTE) for number in range(700)]
    store(connect(url), rows)
    now_us = START + 700 * MINUTE
    for number in range(30):
        late = transaction(
            1_000 + number, now_us - (number * 7 % 30) * MINUTE - 1, ingested_at_us=now_us + number
        )
        assert source.vector(late).tobytes() == plain.vector(late).tobytes(), number
        for one in (source, plain):
            one.remember(late)
        if number > 1:
            # as long as rows come out of order, reading what lasts would be in vain
            assert windows_of(source).held(late.user_id) is None


def test_rows_that_are_left_out_of_a_commit_are_in_no_later_past(url: str) -> None:
    source = FraudFeatureSource(connect(url))
    rows = [transaction(number, START + number) for number in range(3)]
    with source.reserve(rows) as reservation:
        reservation.commit(without=[row.transaction_id for row in rows[1:]])
    assert count_24h(source, transaction(9, START + MINUTE)) == 1.0


def _any_row(dice: random.Random, number: int, event_us: int, now_us: int) -> Transaction:
    place = dice.choice(((None, None), (52.5, 13.4), (-33.9, 151.2)))
    return replace(
        transaction(number, event_us, ingested_at_us=now_us, amount=dice.uniform(0, 100)),
        user_id=dice.choice(USERS),
        merchant_id=f"m{dice.randrange(12)}",
        merchant_category=dice.choice((None, "food", "fuel")),
        country=dice.choice((None, "DE")),
        lat=place[0],
        lon=place[1],
        device_id=dice.choice((None, "phone")),
        utc_offset_min=dice.choice((None, -300, 60)),
    )


def _store_elsewhere(dice: random.Random, elsewhere: Engine, row: Transaction) -> None:
    if dice.random() < 0.5:
        store(elsewhere, [row])
        return
    known_us = row.ingested_at_us + dice.choice((0, DAY))
    with elsewhere.begin() as connection:
        write_history(connection, [record(replace(row, ingested_at_us=known_us))])


def test_a_row_another_process_stores_is_seen_by_the_next_request(url: str) -> None:
    source = FraudFeatureSource(connect(url))
    assert count_24h(source, transaction(1, START)) == 0.0
    assert len(windows_of(source)) == 1
    store(connect(url), [transaction(2, START + MINUTE)])
    assert count_24h(source, transaction(3, START + HOUR)) == 1.0


def test_rows_of_its_own_that_were_drained_leave_the_window_in_place(url: str) -> None:
    engine = connect(url)
    source = FraudFeatureSource(engine)
    row = transaction(1, START)
    source.vector(row)
    source.remember(row)
    before = windows_of(source).held(row.user_id)
    store(engine, [row])
    source.forget([row.transaction_id])
    assert count_24h(source, transaction(2, START + MINUTE)) == 1.0
    assert before is not None
    assert windows_of(source).held(row.user_id) is before


@pytest.mark.parametrize("strange", range(4))
def test_a_strangers_row_among_those_that_were_drained_is_seen(url: str, strange: int) -> None:
    source = FraudFeatureSource(connect(url))
    own = [transaction(number, START + number * MINUTE) for number in range(3)]
    for row in own:
        source.vector(row)
        source.remember(row)
    stored: list[Transaction] = list(own)
    stored.insert(strange, transaction(9, START + 9 * MINUTE))
    elsewhere = connect(url)
    for row in stored:
        store(elsewhere, [row])
    assert count_24h(source, transaction(10, START + HOUR)) == 4.0
    source.forget([row.transaction_id for row in own])
    assert count_24h(source, transaction(11, START + HOUR)) == 4.0


def test_a_reservation_that_is_not_committed_is_rolled_back(url: str) -> None:
    source = FraudFeatureSource(connect(url))
    with source.reserve([transaction(1, START)]):
        assert count_24h(source, transaction(3, START + MINUTE)) == 1.0
    assert count_24h(source, transaction(2, START + MINUTE)) == 0.0


def test_of_a_few_windows_the_one_used_longest_ago_goes_first(url: str) -> None:
    source = FraudFeatureSource(connect(url), bounds=WindowBounds(2, 100_000))
    for number, user in enumerate(("ann", "bob", "ann", "eve")):
        source.vector(replace(transaction(number, START + number), user_id=user))
    held = [windows_of(source).held(user) is not None for user in ("ann", "bob", "eve")]
    assert held == [True, False, True]


def test_a_user_with_very_many_rows_is_kept_and_gets_the_bits_of_batch(url: str) -> None:
    engine = connect(url)
    rows = [
        transaction(number, START + number, merchant_id=f"m{number % 70}", lat=None, country="DE")
        for number in range(3_000)
    ]
    store(engine, rows)
    source, last = FraudFeatureSource(engine), transaction(3_001, START + HOUR, merchant_id="m3")
    expected = compute(frame([*rows, last]))[-1]
    for _ in range(2):
        assert source.vector(last).tobytes() == expected.tobytes()
        held = windows_of(source).held("ada")
        assert held is not None
        assert MAX_PRIOR_ROWS <= held.size < 3_000


def test_a_window_just_made_stays_and_a_colder_one_goes_when_there_are_too_many_rows(
    url: str,
) -> None:
    engine = connect(url)
    store(engine, [transaction(number, START + number) for number in range(30)])
    source = FraudFeatureSource(engine)
    small = RecentWindows(
        source.live, source.pasts, StoredRows(SqliteFetch(engine)), bounds=WindowBounds(100, 20)
    )
    source.windows = small
    assert count_24h(source, transaction(31, START + HOUR)) == 30.0
    assert small.held("ada") is not None
    for number, user in enumerate(("bob", "eve")):
        for step in range(12):
            row = replace(transaction(100 * number + 40 + step, START + HOUR + step), user_id=user)
            source.vector(row)
            source.remember(row)
    assert small.held("eve") is not None
    assert small.held("ada") is None


def test_rows_removed_by_command_leave_the_windows_of_a_running_service(url: str) -> None:
    engine, elsewhere = connect(url), connect(url)
    source = FraudFeatureSource(engine)
    store(elsewhere, [transaction(n, START + n * MINUTE) for n in range(3)])
    windows_of(source).look()
    assert count_24h(source, transaction(10, START + HOUR)) == 3
    with elsewhere.begin() as connection:
        number = begin_change(connection, "remove", START, "a test", {})
        remove_rows(connection, number, api_transaction_logs, ["t000001"])
    windows_of(source).look()
    assert count_24h(source, transaction(11, START + HOUR)) == 2
