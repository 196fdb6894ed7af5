"""The tail rule: what is kept, and how much of it."""

from hypothesis import given
from hypothesis import strategies as st

from api.row_metrics import BUCKETS, RouteMetrics
from api.tracing.tail import KEPT_A_SECOND, ROWS_A_SAMPLE, LastMinute, TailSampler


def why(sampler: TailSampler, now: float, rows: int = 1, **said: bool) -> str | None:
    named = (said.get(name, False) for name in ("has_failed", "is_sampled", "is_slow"))
    return sampler.why(now, rows, *named)


def test_failures_come_before_callers_before_slow_ones_before_chance() -> None:
    sampler = TailSampler()
    assert why(sampler, 1.0, has_failed=True, is_sampled=True, is_slow=True) == "error"
    assert why(sampler, 1.0, is_sampled=True, is_slow=True) == "caller"
    assert why(sampler, 1.0, is_slow=True) == "slow"
    assert why(sampler, 1.0) is None
    assert why(sampler, 1.0, rows=ROWS_A_SAMPLE) == "chance"


def test_no_more_than_twenty_a_second_are_kept_and_the_others_counted() -> None:
    sampler = TailSampler()
    kept = [why(sampler, 5.1, has_failed=True) for _ in range(50)]
    assert kept.count("error") == KEPT_A_SECOND
    assert sampler.over_limit == 30
    assert why(sampler, 6.0, has_failed=True) == "error"
    assert sampler.kept["error"] == KEPT_A_SECOND + 1


def test_slow_rows_and_callers_leave_half_the_room_to_failures() -> None:
    sampler = TailSampler()
    others = [why(sampler, 5.1, is_slow=True, is_sampled=n % 2 == 0) for n in range(40)]
    assert sum(one is not None for one in others) == KEPT_A_SECOND // 2
    failed = [why(sampler, 5.9, has_failed=True) for _ in range(40)]
    assert failed.count("error") == KEPT_A_SECOND // 2


@given(st.lists(st.integers(1, 64), min_size=500, max_size=1_500))
def test_one_row_in_4096_is_kept_by_chance_however_they_are_batched(batches: list[int]) -> None:
    sampler = TailSampler()
    kept = sum(why(sampler, number, rows) == "chance" for number, rows in enumerate(batches))
    assert kept == sum(batches) // ROWS_A_SAMPLE


def answered(counts: RouteMetrics, *seconds: float, times: int = 1) -> None:
    for one in seconds * times:
        counts.answered(200, one)


def minute_of(counts: RouteMetrics) -> LastMinute:
    minute = LastMinute(BUCKETS, counts.buckets)
    assert not minute.is_slow(1e9, 0.0)
    return minute


def test_slow_is_above_the_99th_percentile_of_the_minute_before() -> None:
    counts = RouteMetrics()
    minute = minute_of(counts)
    answered(counts, 0.0004, times=985)
    answered(counts, 0.009, times=15)
    # known at the next look, ten seconds later
    assert not minute.is_slow(0.02, 9.0)
    assert minute.is_slow(0.02, 10.0)
    assert not minute.is_slow(0.001, 10.0)
    assert 0.005 < minute.threshold_seconds <= 0.01


def test_the_percentile_forgets_what_is_older_than_a_minute() -> None:
    counts = RouteMetrics()
    answered(counts, 4.0, times=1_000)
    minute = minute_of(counts)
    for at in range(10, 100, 10):
        answered(counts, 0.0004, times=300)
        minute.is_slow(0.0001, float(at))
    assert minute.threshold_seconds < 0.0006
    assert minute.is_slow(0.01, 95.0)


def test_nothing_is_slow_while_few_rows_are_known() -> None:
    counts = RouteMetrics()
    minute = minute_of(counts)
    answered(counts, 0.0004, times=100)
    assert not minute.is_slow(100.0, 20.0)


@given(st.lists(st.floats(1e-7, 4.9), min_size=300, max_size=600))
def test_about_one_row_in_a_hundred_lies_above(seconds: list[float]) -> None:
    counts = RouteMetrics()
    minute = minute_of(counts)
    answered(counts, *seconds)
    minute.is_slow(0.0, 20.0)
    edge = next(edge for edge in BUCKETS if edge >= minute.threshold_seconds)
    assert sum(one > edge for one in seconds) <= len(seconds) * 0.01
