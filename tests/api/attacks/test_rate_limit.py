from hypothesis import given
from hypothesis import strategies as st

from api.http import auth
from api.http.auth import RateLimit


class HandClock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_so_many_at_once_and_then_so_many_a_minute() -> None:
    clock = HandClock()
    limit = RateLimit(6, clock)
    assert [limit.wait_seconds("a") for _ in range(6)] == [0.0] * 6
    assert limit.wait_seconds("a") == 10.0
    clock.seconds += 10
    assert limit.wait_seconds("a") == 0.0
    assert limit.wait_seconds("a") > 0


def test_one_callers_excess_is_nobody_elses() -> None:
    limit = RateLimit(1, HandClock())
    assert limit.wait_seconds("a") == 0.0
    assert limit.wait_seconds("a") > 0
    assert limit.wait_seconds("b") == 0.0


def test_zero_means_no_limit() -> None:
    limit = RateLimit(0, HandClock())
    assert {limit.wait_seconds("a") for _ in range(1_000)} == {0.0}


def test_many_strangers_do_not_fill_the_memory() -> None:
    limit = RateLimit(1, HandClock())
    for number in range(auth._MAX_KEYS + 500):
        limit.wait_seconds(str(number))
    assert len(limit._full_at) == auth._MAX_KEYS


@given(st.integers(1, 200), st.lists(st.floats(0, 90), max_size=100))
def test_no_minute_ever_lets_more_than_twice_its_number_through(
    per_minute: int, pauses: list[float]
) -> None:
    clock, admitted = HandClock(), []
    limit = RateLimit(per_minute, clock)
    for pause in pauses:
        clock.seconds += pause
        if limit.wait_seconds("a") == 0.0:
            admitted.append(clock.seconds)
    for start in admitted:
        assert sum(start <= at < start + 60 for at in admitted) <= 2 * per_minute
