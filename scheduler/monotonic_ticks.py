"""APScheduler's ticks, freed from the wall clock.

Its own interval trigger counts in wall time: a clock that runs ahead for a moment would fire
every instant in between and then wait until the day it came from. Here a tick is due so many
seconds after it was last looked at, and one whose next instant lies too far ahead, which
means that the clock was set back, is due at once.
"""

import threading
from datetime import datetime, timedelta
from typing import Any

from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from shared.clock import to_datetime
from shared.machine_clock import wall_ns

LOOK_SECONDS = 1.0
# What a tick may be late by before it counts as lost.
GRACE_SECONDS = 2.0


class Pause(BaseTrigger):  # type: ignore[misc]
    """So many seconds from now, whatever was due meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.pause = timedelta(seconds=seconds)

    def get_next_fire_time(self, _previous: Any, now: datetime) -> datetime:
        return now + self.pause


def wake_lost_ticks(scheduler: BaseScheduler, now: datetime) -> list[str]:
    """Make every tick due whose next instant is further away than its pause; returns them."""
    lost = []
    for job in scheduler.get_jobs():
        latest = now + job.trigger.pause + timedelta(seconds=GRACE_SECONDS)
        if job.next_run_time is not None and job.next_run_time > latest:
            job.modify(next_run_time=now)
            lost.append(job.id)
    return lost


def keep_ticking(scheduler: BaseScheduler, stopping: threading.Event) -> None:
    """Look for lost ticks, in a thread of its own, until told to stop."""

    def look() -> None:
        # waits by elapsed time, so it needs no clock to notice that one was set
        while not stopping.wait(LOOK_SECONDS):
            wake_lost_ticks(scheduler, to_datetime(wall_ns() // 1000))

    threading.Thread(target=look, name="ticks", daemon=True).start()
