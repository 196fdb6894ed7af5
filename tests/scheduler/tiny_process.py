"""The scheduler's real main loop around the tiny use case; started as a process by tests.

`CLOCK_BASE_US` and `CLOCK_SPEED`: due instants come by a clock that runs so much faster.
"""

import os
import sys
import time
from dataclasses import dataclass

from scheduler.main import SYSTEM_CLOCK, run
from scheduler.settings import load_settings
from shared.clock import Clock
from shared.logs import configure_logging

CHILD = (sys.executable, "-m", "tests.scheduler.tiny_child")


@dataclass(frozen=True)
class FastClock:
    """The same for every process: it leaves the machine's clock at one instant."""

    base_us: int
    speed: int

    def now_us(self) -> int:
        return self.base_us + (time.time_ns() // 1_000 - self.base_us) * self.speed


def clock() -> Clock:
    if "CLOCK_SPEED" not in os.environ:
        return SYSTEM_CLOCK
    return FastClock(int(os.environ["CLOCK_BASE_US"]), int(os.environ["CLOCK_SPEED"]))


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(
        "scheduler", settings.log_level, settings.log_format, settings.log_file, settings.log_limits
    )
    run(settings, CHILD, clock())
