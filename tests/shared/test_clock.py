"""Instants convert exactly; a wall clock that jumps is told, and believed only when it stays."""

from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.clock import MACHINE_CLOCK, MachineClock, SystemClock, isoformat, to_datetime, to_micros

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 1_767_225_600 * SECOND


@dataclass
class Machine:
    """A wall clock that can be set, and elapsed time that cannot."""

    wall: int = START
    elapsed: int = 5 * SECOND

    def clock(self) -> MachineClock:
        return MachineClock(lambda: self.wall, lambda: self.elapsed)

    def wait(self, nanos: int) -> None:
        self.wall += nanos
        self.elapsed += nanos


def wait_and_ask(machine: Machine, clock: MachineClock, seconds: int) -> int:
    """The time at the end of this many seconds in which somebody asks once a second."""
    for _ in range(seconds):
        machine.wait(SECOND)
        clock.now_us()
    return clock.now_us()


def test_two_hours_ahead_for_a_fifth_of_a_second_change_nothing_and_are_told() -> None:
    machine = Machine()
    clock = machine.clock()
    with capture_logs() as logs:
        machine.wall += 2 * HOUR
        machine.wait(SECOND // 10)
        assert clock.now_us() == (START + SECOND // 10) // 1_000
        machine.wait(SECOND // 10)
        machine.wall -= 2 * HOUR
        assert clock.now_us() == (START + SECOND // 5) // 1_000
    assert [entry["event"] for entry in logs] == ["clock_doubted", "clock_spike_over"]
    assert logs[0]["by_seconds"] == 7_200.0
    assert (clock.standing().spikes, clock.standing().gap_seconds) == (1, 0.0)


def test_thirty_days_ahead_for_eight_seconds_change_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += 30 * DAY
    assert wait_and_ask(machine, clock, 8) == (START + 8 * SECOND) // 1_000
    assert round(clock.standing().gap_seconds) == 30 * 86_400
    assert clock.standing().since_seconds == 7.0
    machine.wall -= 30 * DAY
    assert wait_and_ask(machine, clock, 60) == (START + 68 * SECOND) // 1_000


def test_a_clock_that_was_set_is_followed_when_it_has_stayed_either_way() -> None:
    for hours, direction in ((2, "jumps_forward"), (-2, "jumps_back")):
        machine = Machine()
        clock = machine.clock()
        machine.wall += hours * HOUR
        with capture_logs() as logs:
            now_us = wait_and_ask(machine, clock, 32)
        assert now_us == (START + hours * HOUR + 32 * SECOND) // 1_000
        assert [entry["event"] for entry in logs] == ["clock_doubted", "clock_jump_followed"]
        standing = clock.standing()
        assert getattr(standing, direction) == 1
        assert standing.last_jump_seconds == hours * 3_600.0
        assert standing.last_jump_ago_seconds is not None


def test_jumping_about_is_never_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    for step in range(120):
        machine.wall += (HOUR, -3 * HOUR, 2 * HOUR)[step % 3]
        machine.wait(SECOND)
        clock.now_us()
    assert clock.now_us() == (START + 120 * SECOND) // 1_000
    assert clock.standing().jumps_forward == clock.standing().jumps_back == 0


def test_what_a_time_service_corrects_is_followed_at_once() -> None:
    machine = Machine()
    clock = machine.clock()
    with capture_logs() as logs:
        for _ in range(100):
            machine.wall += SECOND // 10
            machine.wait(SECOND)
            assert clock.now_us() == machine.wall // 1_000
    assert logs == []


@given(st.lists(st.tuples(st.integers(-30 * DAY, 30 * DAY), st.integers(0, 29 * SECOND // 2))))
def test_no_series_of_short_jumps_moves_it_from_elapsed_time(
    jumps: list[tuple[int, int]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    for by, lasted in jumps:
        machine.wait(SECOND)
        machine.wall += by
        machine.wait(lasted)
        clock.now_us()
        machine.wall -= by
        machine.wait(SECOND)
        believed = clock.now_us() * 1_000
        # less than the tolerance is a correction, and followed
        assert abs(believed - (START + machine.elapsed - 5 * SECOND)) < SECOND


def test_the_clock_of_the_process_goes_on() -> None:
    before = SystemClock().now_us()
    assert before <= MACHINE_CLOCK.now_us() <= SystemClock().now_us()


INSTANTS = st.integers(-(10**15), 4 * 10**15)


@given(INSTANTS)
def test_an_instant_survives_every_conversion_to_the_microsecond(instant_us: int) -> None:
    assert to_micros(to_datetime(instant_us)) == instant_us
    assert to_micros(datetime.fromisoformat(isoformat(instant_us))) == instant_us


def test_a_time_without_a_zone_names_no_instant() -> None:
    with pytest.raises(ValueError, match="zone"):
        to_micros(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
