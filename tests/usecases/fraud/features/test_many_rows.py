"""One user with more rows than count: bounded work, and the bits of training."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.features.live import rows_to_read
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_decisions
from shared.transaction import Transaction
from shared.usecase.serving import WindowBounds
from tests.support.reserved import reserved
from tests.usecases.fraud.features.frames import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    frame,
    record,
    transaction,
)
from usecases.fraud.features.batch import compute
from usecases.fraud.features.catalogue import FEATURE_SET, GROUPS
from usecases.fraud.features.online import FraudFeatureSource
from usecases.fraud.features.rows import new_block
from usecases.fraud.features.window import UserWindow
from usecases.fraud.features.windows import KeptWindows

MOST = 8
OF_USERS = slice(0, FEATURE_SET.names.index(GROUPS["merchant_risk"][0]))
"""The features that do not wait for the database."""
FIRST_SEEN = FEATURE_SET.names.index("days_since_first_seen")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path}/many.db")
    migrate(engine)
    return engine


def store(engine: Engine, rows: Sequence[Transaction]) -> None:
    with engine.begin() as connection:
        write_decisions(connection, [{**record(row), "model_version": "1.0.0"} for row in rows])


def guest(dice: random.Random, number: int, now_us: int) -> Transaction:
    """A row of the shop's one guest, sometimes a little late."""
    late_us = dice.choice((0,) * 8 + (3 * SECOND, 20 * MINUTE))
    return transaction(
        number,
        now_us - late_us,
        ingested_at_us=now_us,
        user_id="guest",
        merchant_id=f"m{dice.randrange(6)}",
        amount=float(dice.randrange(1, 400)),
        merchant_category=dice.choice(("food", None)),
    )


def served_in_a_stream(
    engine: Engine, *, drained_every: int, together: int, rows: int
) -> tuple[list[Transaction], list[bytes], int]:
    """Rows, their vectors, and the size of the largest window that was kept."""
    dice = random.Random(drained_every)
    source = FraudFeatureSource(engine, max_prior_rows=MOST)
    assert source.windows is not None
    stream: list[Transaction] = []
    vectors: list[bytes] = []
    pending: list[Transaction] = []
    largest, now_us = 0, START
    while len(stream) < rows:
        tick: list[Transaction] = []
        for _ in range(dice.randrange(1, together + 1)):
            now_us += dice.choice((SECOND, MINUTE, HOUR))
            tick.append(guest(dice, len(stream) + len(tick), now_us))
        vectors += [vector[OF_USERS].tobytes() for vector in reserved(source, tick)]
        stream += tick
        pending += tick
        held = source.windows.held("guest")
        largest = max(largest, 0 if held is None else held.taken)
        if len(pending) >= drained_every:
            store(engine, pending)
            source.forget([row.transaction_id for row in pending])
            pending = []
    return stream, vectors, largest


@pytest.mark.parametrize("drained_every", [1, 25, 10_000])
@pytest.mark.parametrize("together", [1, 9, 60])
def test_a_guest_with_ever_more_rows_gets_the_bits_of_batch_from_a_bounded_window(
    engine: Engine, drained_every: int, together: int
) -> None:
    rows, served, largest = served_in_a_stream(
        engine, drained_every=drained_every, together=together, rows=500
    )
    expected = compute(frame(rows), max_prior_rows=MOST)
    different = [
        at for at, vector in enumerate(served) if vector != expected[at, OF_USERS].tobytes()
    ]
    assert different == []
    assert expected[:, FEATURE_SET.names.index("cnt_30d")].max() == MOST
    assert largest <= 3 * MOST + together + 16


def test_a_window_is_read_no_further_than_rows_count(engine: Engine) -> None:
    store(engine, [transaction(number, START + number) for number in range(5_000)])
    source = FraudFeatureSource(engine, max_prior_rows=100)
    assert source.windows is not None
    vector = source.vector(transaction(9_000, START + DAY))
    held = source.windows.held("ada")
    assert held is not None
    assert held.size == rows_to_read(100)
    assert vector[FEATURE_SET.names.index("cnt_30d")] == 100
    assert vector[FIRST_SEEN] == 1.0


def test_rows_that_wait_for_the_database_are_looked_at_no_further_than_they_count(
    engine: Engine,
) -> None:
    rows = [transaction(number, START + number * SECOND) for number in range(3_000)]
    source = FraudFeatureSource(engine, max_prior_rows=100)
    for row in rows:
        source.live.remember((row,))
    last = transaction(9_000, START + DAY)
    past = source.live.past(last)
    assert len(past.rows) == rows_to_read(100)
    expected = compute(frame([*rows, last]), max_prior_rows=100)[-1]
    for windows in (source.windows, None):
        source.windows = windows
        assert source.vector(last)[OF_USERS].tobytes() == expected[OF_USERS].tobytes()


def test_a_row_from_before_very_many_others_gets_the_bits_of_batch(engine: Engine) -> None:
    rows = [transaction(number, START + number * SECOND) for number in range(600)]
    store(engine, rows)
    source = FraudFeatureSource(engine, max_prior_rows=20)
    now_us = START + HOUR
    for number, event_us in enumerate((START + 300 * SECOND + 1, START + 3, START - 1)):
        late = transaction(9_000 + number, event_us, ingested_at_us=now_us + number)
        expected = compute(frame([*rows, late]), max_prior_rows=20)[-1]
        assert source.vector(late)[OF_USERS].tobytes() == expected[OF_USERS].tobytes()


def test_rows_that_were_not_visible_yet_do_not_push_out_those_that_count(engine: Engine) -> None:
    early = [transaction(number, START + number) for number in range(50)]
    # of yesterday, but brought in tomorrow
    unseen = [
        transaction(100 + number, START + HOUR + number, ingested_at_us=START + 2 * DAY)
        for number in range(200)
    ]
    store(engine, [*early, *unseen])
    row = transaction(9_000, START + DAY)
    expected = compute(frame([*early, *unseen, row]), max_prior_rows=10)[-1]
    assert expected[FEATURE_SET.names.index("cnt_24h")] == 10
    for max_users in (0, 100):
        source = FraudFeatureSource(
            engine, bounds=WindowBounds(max_users, 100_000), max_prior_rows=10
        )
        assert source.vector(row)[OF_USERS].tobytes() == expected[OF_USERS].tobytes()


def test_users_who_come_round_and_round_find_their_windows_though_there_is_no_room_for_all(
    engine: Engine,
) -> None:
    source = FraudFeatureSource(engine, bounds=WindowBounds(100, 100_000))
    windows = source.windows
    assert windows is not None
    found = asked = 0
    for turn in range(20):
        for user in range(125):
            row = replace(transaction(1_000 * turn + user, START + turn), user_id=f"u{user}")
            found += windows.held(row.user_id) is not None
            asked += 1
            source.vector(row)
    assert len(windows) == 100
    assert found > asked / 3


def test_busy_users_keep_their_windows_within_a_bound_of_the_rows_that_count(
    engine: Engine,
) -> None:
    source = FraudFeatureSource(engine, bounds=WindowBounds(100, 20 * 40), max_prior_rows=20)
    plain = FraudFeatureSource(engine, max_prior_rows=20)
    plain.windows = None
    windows = source.windows
    assert windows is not None
    for turn in range(100):
        rows = [
            replace(transaction(1_000 * turn + user, START + turn * SECOND), user_id=f"u{user}")
            for user in range(20)
        ]
        held = sum(windows.held(row.user_id) is not None for row in rows)
        assert held == (20 if turn else 0)
        expected = [plain.vector(row).tobytes() for row in rows[:2]] if turn % 10 == 9 else []
        vectors = reserved(source, rows)
        assert [vector.tobytes() for vector in vectors[: len(expected)]] == expected
        for row in rows:
            plain.remember(row)


def test_windows_of_this_turn_stay_even_where_they_are_too_many() -> None:
    kept = KeptWindows(max_users=10, max_rows=50)
    for turn in range(3):
        kept.next_turn()
        for number in range(4):
            kept.put(f"{turn}-{number}", UserWindow(new_block(20, 20)))
        kept.keep_bounds()
        assert sorted(kept) == [f"{turn}-{number}" for number in range(4)]
        assert kept.rows == 80
