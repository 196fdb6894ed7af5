"""Compiled code without a cache, and work divided among threads."""

import threading

import pytest
import structlog

from native.compiled import compiled
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.features.tile_sums import in_chunks
from shared.features.tiles import SETTLE_US, TileHours, TileWindows, tile_hours


def test_code_compiles_where_no_cache_can_be_written() -> None:
    names: dict[str, object] = {}
    exec("def twice(x):\n    return 2 * x", names)  # has no file, so no cache
    twice = names["twice"]
    assert callable(twice)
    with structlog.testing.capture_logs() as logs:
        fast = compiled(twice)
    assert fast(21) == 42
    assert [line["event"] for line in logs] == ["compile_cache_unavailable"]


@pytest.mark.parametrize("total", [0, 1, 19_999, 20_001, 100_003])
def test_every_row_is_worked_on_once(total: int) -> None:
    seen: list[tuple[int, int]] = []
    lock = threading.Lock()

    def work(start: int, stop: int) -> None:
        with lock:
            seen.append((start, stop))

    in_chunks(total, work)
    rows = [row for start, stop in seen for row in range(start, stop)]
    assert sorted(rows) == list(range(total))


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    def work(start: int, _stop: int) -> None:
        if start:
            raise ValueError(start)

    with pytest.raises(ValueError, match=r"\d"):
        in_chunks(100_000, work)


def test_windows_end_at_the_last_hour_that_has_settled() -> None:
    t = 1_000 * MICROS_PER_HOUR + SETTLE_US
    assert tile_hours(t - 1, t - 1) == TileHours(999, 999, 999)
    assert tile_hours(t, t) == TileHours(1_000, 1_000, 1_000)


def test_a_late_row_sees_more_rows_but_no_later_labels() -> None:
    t = 1_000 * MICROS_PER_HOUR + SETTLE_US
    assert tile_hours(t, t + 5 * MICROS_PER_HOUR) == TileHours(1_000, 1_005, 1_000)


def test_a_row_dated_ahead_sees_no_label_that_is_not_known_yet() -> None:
    t = 1_000 * MICROS_PER_HOUR + SETTLE_US
    assert tile_hours(t + 5 * MICROS_PER_HOUR, t) == TileHours(1_005, 1_000, 1_000)


def test_the_lag_is_whole_hours_and_never_shorter_than_the_label_delay() -> None:
    assert TileWindows.behind(7 * MICROS_PER_DAY).lag_hours == 168
    assert TileWindows.behind(MICROS_PER_HOUR + 1).lag_hours == 2
