"""Time in both services: UTC, whole microseconds since the epoch, and the clock that tells it.

The machine's wall clock is believed only while it agrees with elapsed time. A wall clock that is
set, or jumps for a moment (a hypervisor, a time service with a bad source, a typing error), would
mislead every reader of the time. Elapsed time cannot be set, so a difference between the two is a
jump: it is reported at once, and followed only when it has lasted `settle_seconds`. Until then the
time is the last trusted instant plus elapsed time.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import structlog

MICROS_PER_SECOND = 1_000_000
MICROS_PER_HOUR = 3_600 * MICROS_PER_SECOND
MICROS_PER_DAY = 24 * MICROS_PER_HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the present instant; passed in so that history can be replayed."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        ...


def to_datetime(instant_us: int) -> datetime:
    """The aware UTC datetime of an instant, exact to the microsecond."""
    seconds, micros = divmod(instant_us, MICROS_PER_SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def to_micros(moment: datetime) -> int:
    """The instant of an aware datetime.

    Raises:
        ValueError: the datetime has no zone, so it names no instant.
    """
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone names no instant")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * MICROS_PER_SECOND + delta.microseconds


def isoformat(instant_us: int) -> str:
    """RFC 3339 text of an instant, always with microseconds and Z."""
    return to_datetime(instant_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_the_second(instant_us: int) -> str:
    """RFC 3339 text of an instant for people, without a fraction of a second."""
    return f"{isoformat(instant_us)[:19]}Z"


_NANOS = 1_000_000_000
# NTP slews by less between two readings; a larger step is a jump.
TOLERANCE_SECONDS = 0.5
SETTLE_SECONDS = 30.0
# Elapsed time after which the next reading compares the clocks.
LOOK_NS = 50_000_000
# A pair of readings that took longer is discarded: the thread was suspended in between.
_PROMPT_NS = 10_000_000
_TRIES = 5

_log = structlog.get_logger()


wall_ns = time.time_ns
"""The wall clock as it stands, in nanoseconds: only for comparing with the times of files and
with the clocks of libraries, which are stamped by it. Everything else asks a `Clock`."""


def _elapsed_clock() -> Callable[[], int]:
    """Nanoseconds since the start of the machine, sleep included where the system counts it."""
    try:
        time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic_ns
    return partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class ClockState:
    """The state of the clock so far.

    Attributes:
        gap_seconds: how far the wall clock is ahead of the trusted time; 0: they agree.
        since_seconds: for how long that has been so.
        spikes: jumps that went back on their own before they were followed.
        last_jump_seconds: how far the last jump that was followed went, forward or (-) back.
        last_jump_ago_seconds: when that was; None: never.
    """

    gap_seconds: float = 0.0
    since_seconds: float = 0.0
    jumps_forward: int = 0
    jumps_back: int = 0
    spikes: int = 0
    last_jump_seconds: float = 0.0
    last_jump_ago_seconds: float | None = None


@dataclass(slots=True)
class _Doubt:
    """A difference that has not been believed yet."""

    offset_ns: int
    since_ns: int


class MachineClock:
    """Microseconds since the epoch; safe for threads.

    A first reading is believed, for there is nothing to compare it with.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        elapsed_ns: Callable[[], int] = _elapsed_clock(),  # noqa: B008 - chosen once
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._wall_ns = wall_ns
        self._elapsed_ns = elapsed_ns
        self._settle_ns = round(settle_seconds * _NANOS)
        self._tolerance_ns = round(TOLERANCE_SECONDS * _NANOS)
        self._lock = threading.Lock()
        self._doubt: _Doubt | None = None
        self._jumps = {True: 0, False: 0}
        self._spikes = 0
        self._last_jump: tuple[int, int] | None = None
        # wall clock minus monotonic clock, as currently used
        self._offset_ns, self._looked_ns = self._measured()
        self._look_again_ns = self._looked_ns

    def now_us(self) -> int:
        # One reading of one clock: called for every row.
        elapsed = self._elapsed_ns()
        if self._looked_ns <= elapsed < self._look_again_ns:
            return (elapsed + self._offset_ns) // 1_000
        self.look()
        return (self._elapsed_ns() + self._offset_ns) // 1_000

    def standing(self) -> ClockState:
        """The current state; reads the clocks."""
        self.look()
        with self._lock:
            now_ns, doubt, last = self._elapsed_ns(), self._doubt, self._last_jump
            gap = since = 0.0
            if doubt is not None:
                gap = (doubt.offset_ns - self._offset_ns) / _NANOS
                since = (now_ns - doubt.since_ns) / _NANOS
            return ClockState(
                gap,
                since,
                self._jumps[True],
                self._jumps[False],
                self._spikes,
                0.0 if last is None else last[0] / _NANOS,
                None if last is None else (now_ns - last[1]) / _NANOS,
            )

    def look(self) -> None:
        """Compare the clocks; call it periodically where the time is rarely read."""
        with self._lock:
            offset_ns, elapsed = self._measured()
            told = self._weigh(offset_ns, elapsed)
            self._looked_ns, self._look_again_ns = elapsed, elapsed + LOOK_NS
        if told is not None:
            # outside the lock: writing a log line may read the clock
            event, by_ns = told
            _log.warning(event, by_seconds=round(by_ns / _NANOS, 3))

    def _weigh(self, offset_ns: int, elapsed: int) -> tuple[str, int] | None:
        """Trust or distrust the wall clock; returns the event to report, if any."""
        gap_ns, doubt = offset_ns - self._offset_ns, self._doubt
        if abs(gap_ns) < self._tolerance_ns:
            self._offset_ns, self._doubt = offset_ns, None
            if doubt is None:
                return None
            self._spikes += 1
            return "clock_spike_over", doubt.offset_ns - offset_ns
        if doubt is None or abs(offset_ns - doubt.offset_ns) >= self._tolerance_ns:
            self._doubt = _Doubt(offset_ns, elapsed)
            return "clock_doubted", gap_ns
        if elapsed - doubt.since_ns < self._settle_ns:
            return None
        self._offset_ns, self._doubt = offset_ns, None
        self._jumps[gap_ns > 0] += 1
        self._last_jump = (gap_ns, elapsed)
        return "clock_jump_followed", gap_ns

    def _measured(self) -> tuple[int, int]:
        """Wall clock minus elapsed time, and elapsed time, read without a pause in between."""
        for _ in range(_TRIES):
            before, wall, after = self._elapsed_ns(), self._wall_ns(), self._elapsed_ns()
            if 0 <= after - before < _PROMPT_NS:
                break
        return wall - after, after


MACHINE_CLOCK = MachineClock()
"""The clock of this process, which every `SystemClock` reads."""


class SystemClock:
    """The machine's clock, as far as it agrees with elapsed time (see `MachineClock`)."""

    # bound once: called for every row
    now_us = staticmethod(MACHINE_CLOCK.now_us)
