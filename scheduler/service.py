"""The scheduler process: APScheduler drives it, signals stop it within ten seconds.

APScheduler only calls functions every few seconds; due instants and requests are in the database.
Its defaults that lose work (a misfire grace of one second, several instances of one job) are
switched off here.
"""

import contextvars
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

from apscheduler import events
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from shared.clock import to_datetime, wall_ns

# Triggers for APScheduler's periodic tasks that do not depend on the wall clock.
#
# Its interval trigger counts in wall time: a clock that jumps ahead for a moment would fire
# every instant in between and then wait until that time is reached again. Here a task is due
# a number of seconds after its last check, and a task whose next instant lies too far ahead
# (the clock was set back) is due at once.

LOOK_SECONDS = 1.0
# Delay after which a task counts as lost.
GRACE_SECONDS = 2.0


class Pause(BaseTrigger):  # type: ignore[misc]
    """A pause of this many seconds from now, whatever becomes due meanwhile."""

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
    """Look for lost ticks, in a separate thread, until stopped."""

    def look() -> None:
        # waits on the monotonic clock, which is not affected by changes of the wall clock
        while not stopping.wait(LOOK_SECONDS):
            wake_lost_ticks(scheduler, to_datetime(wall_ns() // 1000))

    threading.Thread(target=look, name="ticks", daemon=True).start()


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A function called every this many seconds, never twice at once.

    Attributes:
        is_long: it may run for minutes; ticks skipped meanwhile are normal.
    """

    name: str
    call: Callable[[], None]
    every_seconds: float
    is_long: bool = False


def build_scheduler(ticks: Sequence[PeriodicTask], log: FilteringBoundLogger) -> BlockingScheduler:
    """A scheduler in UTC that keeps no state and logs every failure."""
    scheduler = BlockingScheduler(
        jobstores={"default": MemoryJobStore()},
        executors={"default": ThreadPoolExecutor(len(ticks))},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        timezone=UTC,
    )
    for tick in ticks:
        scheduler.add_job(
            _in_context(contextvars.copy_context(), tick.call),
            Pause(tick.every_seconds),
            id=tick.name,
            next_run_time=to_datetime(wall_ns() // 1000),
        )
    patient = {tick.name for tick in ticks if tick.is_long}
    _listen(scheduler, patient, log)
    return scheduler


def stop_on_signals(interruption: Interruption) -> None:
    """SIGTERM and SIGINT ask everything to stop; call from the main thread."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        # no log line in a signal handler: it may interrupt the writing of one
        interruption.request()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def run_until_stopped(
    scheduler: BlockingScheduler, interruption: Interruption, log: FilteringBoundLogger
) -> None:
    """Block until a stop was requested; jobs in progress may still be running then."""

    def stop_when_asked() -> None:
        interruption.wait()
        log.info("scheduler_stopping")
        stopped.set()
        scheduler.shutdown(wait=False)

    stopped = threading.Event()

    def on_started(_event: object) -> None:
        keep_ticking(scheduler, stopped)
        stop = _in_context(contextvars.copy_context(), stop_when_asked)
        threading.Thread(target=stop, name="stopper", daemon=True).start()

    scheduler.add_listener(on_started, events.EVENT_SCHEDULER_STARTED)
    scheduler.start()


def wait_for_threads(grace_seconds: float) -> bool:
    """True if every thread that would keep the process alive ended in time."""
    deadline = time.monotonic() + grace_seconds
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return False
    return True


def _in_context(context: contextvars.Context, call: Callable[[], None]) -> Callable[[], None]:
    """Threads of a pool start with an empty context; what is bound for all logs lives in ours."""
    return lambda: context.copy().run(call)


def _listen(scheduler: BlockingScheduler, patient: set[str], log: FilteringBoundLogger) -> None:
    hanging: set[str] = set()

    def on_error(event: events.JobExecutionEvent) -> None:
        hanging.discard(event.job_id)
        log.error("periodic_task_failed", task=event.job_id, exc_info=event.exception)

    def on_end(event: events.JobExecutionEvent) -> None:
        hanging.discard(event.job_id)

    def on_overlap(event: events.JobSubmissionEvent) -> None:
        # Logged once, however many instants pass meanwhile.
        if event.job_id not in patient | hanging:
            hanging.add(event.job_id)
            log.warning("periodic_task_hangs", task=event.job_id)

    scheduler.add_listener(on_error, events.EVENT_JOB_ERROR)
    scheduler.add_listener(on_end, events.EVENT_JOB_EXECUTED)
    scheduler.add_listener(on_overlap, events.EVENT_JOB_MAX_INSTANCES)
