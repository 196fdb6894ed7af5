"""What the scorer keeps in memory: pending rows and cached sums, both bounded."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.errors import DataUnavailable
from shared.features.pending import PendingRows
from shared.features.tiles import SumsCache, TileHours
from shared.transaction import Transaction

ROW = Transaction(
    transaction_id="a",
    user_id="ada",
    event_time_us=5,
    ingested_at_us=7,
    amount=1.0,
    currency="EUR",
    merchant_id="shop",
    transaction_type="purchase",
)
SUMS = (1, 2, 3, 4, 5, 6)


class Counter:
    """A reader that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> tuple[int, ...]:
        self.asked += 1
        return SUMS


class Unreadable:
    def __call__(self) -> tuple[int, ...]:
        raise DataUnavailable("down")


def test_pending_rows_hold_the_instants_the_id_and_the_columns_asked_for() -> None:
    pending = PendingRows(("amount", "country"), capacity=10)
    pending.add([ROW])
    assert pending.rows_of("ada") == [(5, 7, "a", 1.0, None)]
    assert pending.rows_of("bob") == []


def test_the_first_row_of_a_transaction_id_stays() -> None:
    pending = PendingRows(("amount",), capacity=10)
    pending.add([ROW])
    pending.add([replace(ROW, amount=2.0, user_id="bob")])
    assert (pending.rows_of("ada"), pending.rows_of("bob")) == ([(5, 7, "a", 1.0)], [])


def test_removing_says_when_the_earliest_row_had_come() -> None:
    pending = PendingRows(("amount",), capacity=10)
    pending.add([ROW])
    pending.add([replace(ROW, transaction_id="b", ingested_at_us=3)])
    assert pending.remove(["a", "b", "c"]) == 3
    assert pending.remove(["a"]) is None
    assert len(pending) == 0


def test_pending_rows_know_how_the_oldest_of_them_begin_and_end() -> None:
    pending = PendingRows((), capacity=10)
    assert not pending.begins_with(1, "a", "a")
    pending.add([replace(ROW, transaction_id=name) for name in "abcd"])
    assert pending.begins_with(1, "a", "a")
    assert pending.begins_with(3, "a", "c")
    assert not pending.begins_with(3, "a", "d")
    assert not pending.begins_with(3, "b", "c")
    assert not pending.begins_with(5, "a", "d")
    pending.remove(["a"])
    assert pending.begins_with(3, "b", "d")


def test_the_oldest_pending_row_goes_when_there_are_too_many() -> None:
    pending = PendingRows((), capacity=2)
    for name in "abc":
        pending.add([replace(ROW, transaction_id=name)])
    assert [row[2] for row in pending.rows_of("ada")] == ["b", "c"]


def test_pending_rows_survive_threads_that_add_and_remove() -> None:
    pending = PendingRows(("amount",), capacity=10_000)

    def work(part: int) -> None:
        names = [f"{part}-{n}" for n in range(200)]
        for name in names:
            pending.add([replace(ROW, transaction_id=name)])
            pending.rows_of("ada")
        pending.remove(names[:100])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(pending) == len(pending.rows_of("ada")) == 800


def test_sums_are_read_once_for_one_merchant_and_hour() -> None:
    cache, read = SumsCache(10), Counter()
    for _ in range(3):
        assert tuple(cache.get("shop", TileHours(9, 9, 9), read)) == SUMS
    cache.get("shop", TileHours(10, 10, 10), read)
    assert read.asked == 2


def test_the_oldest_sums_go_when_there_are_too_many() -> None:
    cache, read = SumsCache(2), Counter()
    for name in "abca":
        cache.get(name, TileHours(9, 9, 9), read)
    assert (len(cache), read.asked) == (2, 4)


def test_sums_stay_when_what_is_new_lies_behind_what_they_could_see() -> None:
    cache, read = SumsCache(10), Counter()
    cache.get("shop", TileHours(9, 9, 9), read)
    cache.invalidate(known_hour=9)
    cache.get("shop", TileHours(9, 9, 9), read)
    assert read.asked == 1
    cache.invalidate(known_hour=8)
    cache.get("shop", TileHours(9, 9, 9), read)
    assert read.asked == 2


def test_sums_read_before_an_invalidation_are_not_kept() -> None:
    cache, again = SumsCache(10), Counter()

    def read() -> tuple[int, ...]:
        cache.invalidate(known_hour=0)  # a label arrives while the tiles are being read
        return SUMS

    cache.get("shop", TileHours(9, 9, 9), read)
    cache.get("shop", TileHours(9, 9, 9), again)
    assert again.asked == 1


def test_a_failed_read_is_not_cached() -> None:
    cache, read = SumsCache(10), Counter()
    with pytest.raises(DataUnavailable):
        cache.get("shop", TileHours(9, 9, 9), Unreadable())
    cache.get("shop", TileHours(9, 9, 9), read)
    assert read.asked == 1
