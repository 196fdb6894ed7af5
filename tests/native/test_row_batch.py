"""Rows that come in together get the same bits at raw addresses and in a call for each row."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from shared.features.live import Past
from shared.features.tiles import NO_SUMS
from shared.transaction import Transaction
from tests.usecases.fraud.features.frames import HOUR, START, transaction
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.features.encoding import new_rows, put_row
from usecases.fraud.features.layout import Micros, Out
from usecases.fraud.features.row_batch import (
    ADD,
    TELL,
    Told,
    take_at_addresses,
    take_blocks,
)
from usecases.fraud.features.window import UserWindow

Taker = Callable[[list[UserWindow], Micros, int, Out], Told | None]
TAKERS = [pytest.param(take_at_addresses, id="native"), pytest.param(take_blocks, id="pure")]
pytestmark = pytest.mark.coupling


def stream(count: int) -> list[Transaction]:
    dice = random.Random(3)
    return [
        transaction(
            number,
            START + number * HOUR,
            user_id=dice.choice(("ann", "bob", "eve")),
            merchant_id=dice.choice(("shop", "café")),
            amount=float(dice.randrange(1, 90)),
        )
        for number in range(count)
    ]


def window_before(row: Transaction, past: list[Transaction]) -> UserWindow:
    window = UserWindow.of(Past([], None), row if not past else past[0], 200)
    if past:
        assert window.add(*past)
    return window


def one_by_one(rows: list[Transaction]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Each row asked of a window that holds what came before it, and nothing else."""
    told = []
    for at, row in enumerate(rows):
        past = [each for each in rows[:at] if each.user_id == row.user_id]
        vector = window_before(row, past).features(row, NO_SUMS)
        assert vector is not None
        told.append(vector)
    return np.array(told)


def taken(
    taker: Taker, rows: list[Transaction], windows: dict[str, UserWindow]
) -> tuple[Told | None, Out]:
    words = new_rows(len(rows))
    holders = []
    for at, row in enumerate(rows):
        put_row(words.data, at, at, row, NO_SUMS)
        windows.setdefault(row.user_id, window_before(row, []))
        windows[row.user_id].give_room()
        holders.append(windows[row.user_id])
    out = np.zeros((len(rows), len(FEATURE_SET.names)), dtype=np.float32)
    return taker(holders, words, TELL | ADD, out), out


@pytest.mark.parametrize("taker", TAKERS)
def test_rows_of_several_users_get_the_bits_of_asking_one_by_one(taker: Taker) -> None:
    rows, windows = stream(90), dict[str, UserWindow]()
    told, out = taken(taker, rows, windows)
    assert told is None
    assert out.tobytes() == one_by_one(rows).tobytes()
    assert sum(window.size for window in windows.values()) == len(rows)


@pytest.mark.parametrize("taker", TAKERS)
def test_a_row_out_of_order_leaves_it_and_what_follows_of_its_user(taker: Taker) -> None:
    rows = stream(12)
    twice = [*rows, rows[3]]
    windows = dict[str, UserWindow]()
    told, _ = taken(taker, twice, windows)
    assert told is not None
    assert told.tolist() == [True] * 12 + [False]
    assert windows[rows[3].user_id].is_void
