import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from api.journal.entries import Decided, encode_decision
from api.scoring.idempotency import DecisionCache
from api.scoring.stages import Recorded
from api.scoring.user_locks import MonotonicClock, StripedLocks
from api.settings import Settings
from shared.transaction import Transaction
from shared.usecase.serving import Answer, ServedModel
from tests.api.server import Running
from tests.api.tiny import stored_rows
from tests.support.clocks import StoppedClock

MODEL = ServedModel("1.0.0", ("classifier",), {})
ANSWER = Answer({}, 0.0, "approve")


def transaction(transaction_id: str) -> Transaction:
    return Transaction(
        transaction_id=transaction_id, user_id="u", event_time_us=1, ingested_at_us=1,
        amount=1.0, currency="EUR", merchant_id="m", transaction_type="purchase",
    )  # fmt: skip


def decided(transaction_id: str) -> Decided:
    zeros = np.zeros(1, dtype=np.float32)
    return Decided(transaction(transaction_id), zeros, zeros, MODEL)


def test_a_strict_clock_never_repeats_itself_nor_goes_back() -> None:
    inner = StoppedClock()
    clock = MonotonicClock(inner)
    assert [clock.now_us(), clock.now_us()] == [5, 6]
    inner.now = 3
    assert clock.now_us() == 7
    inner.now = 100
    assert clock.now_us() == 100


@given(st.lists(st.tuples(st.integers(1, 10**13), st.integers(1, 64)), min_size=1, max_size=8))
def test_rows_accepted_together_get_the_times_that_they_get_one_by_one(
    readings: list[tuple[int, int]],
) -> None:
    inner = StoppedClock()
    together, in_turn = MonotonicClock(inner), MonotonicClock(inner)
    for inner.now, rows in readings:
        one_by_one = [pair for _ in range(rows) for pair in in_turn.ingestions(1)]
        assert list(together.ingestions(rows)) == one_by_one
    assert together.ahead_us() == in_turn.ahead_us()


def test_batches_with_common_users_do_not_wait_for_each_other_forever() -> None:
    turns = StripedLocks()
    done: list[int] = []

    def work(number: int) -> None:
        users = [f"u{i}" for i in range(50)]
        for _ in range(50):
            with turns.of(users if number % 2 else reversed(users)):
                done.append(number)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(done) == 200


def test_in_a_thread_pool_rows_of_one_user_still_see_each_other_in_order(
    settings: Settings,
) -> None:
    pooled = settings.model_copy(update={"scoring_in_threads": "on"})
    with Running(pooled) as server, ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: server.score(amount=1.0, user_id="u"), range(60)))
        same = clients.map(lambda _: server.score(amount=1.0, transaction_id="t").text, range(20))
        assert len(set(same)) == 1
        server.drained()
        rows = [row for row in stored_rows(server.service.database.engine) if row["user_id"] == "u"]
    rows.sort(key=lambda row: int(row["ingested_at"]))
    seen = [int(np.frombuffer(row["feature_vector"], "<f4")[1]) for row in rows]
    assert seen == list(range(60))


def test_the_cache_keeps_what_the_database_lacks_and_bounds_the_rest() -> None:
    cache = DecisionCache(capacity=2)
    for name in "abcd":
        cache.put([Recorded(name, encode_decision(decided(name), ANSWER, "1", 0.0), MODEL)])
    assert cache.is_pending("a")
    cache.stored(["a", "b"])
    assert cache.get("a") is not None
    cache.stored(["c"])
    # b was asked for least recently
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.get("d") is not None
    cache.stored(["nobody"])
