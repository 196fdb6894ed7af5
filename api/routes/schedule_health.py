"""How the schedule stands, as far as the database tells: in force, switched off, unattended."""

from typing import Literal, NamedTuple

from sqlalchemy import Engine

from shared.clock import MICROS_PER_SECOND, isoformat
from shared.errors import DataUnavailable
from shared.intervals import Interval, next_due
from shared.tables.config import RetrainingConfig, read_retraining_config
from shared.tables.job_schedules import JobSchedule, read_schedules

JOB = "retraining"
# a scheduler writes every ten seconds that it has looked
UNATTENDED_SECONDS = 60
# the clocks of two machines may differ by this much
AHEAD_SECONDS = 60

Figures = dict[str, int | float | str | bool | None]


class Standing(NamedTuple):
    """A state, what it means, and figures."""

    state: Literal["ok", "degraded"]
    detail: str
    figures: Figures


def schedule_standing(engine: Engine, now_us: int) -> Standing:
    """What the configuration says, what is in force, and whether a scheduler looks after it."""
    try:
        config = read_retraining_config(engine)
        stored = {schedule.job: schedule for schedule in read_schedules(engine)}.get(JOB)
    except DataUnavailable as error:
        return Standing("degraded", str(error), {})
    figures = _figures(config, stored)
    trouble = _trouble(config, stored, now_us)
    if trouble is not None:
        return Standing("degraded", trouble, figures)
    detail = "on schedule" if config.is_enabled else "switched off by IsEnabled = 0"
    return Standing("ok", detail, figures)


def _figures(config: RetrainingConfig, stored: JobSchedule | None) -> Figures:
    return {
        "interval": config.interval,
        "interval_in_force": None if stored is None else stored.interval,
        "enabled": config.is_enabled,
        "last_run": None if config.last_run is None else config.last_run.isoformat(),
        "next_run": None if config.next_run is None else config.next_run.isoformat(),
    }


def _ahead_of_time(stored: JobSchedule, now_us: int) -> str | None:
    """Whether a scheduler whose clock ran ahead has answered what is not due yet."""
    seconds = (stored.checked_at_us - now_us) / MICROS_PER_SECOND
    if seconds > AHEAD_SECONDS:
        return f"a scheduler's clock is {seconds:,.0f} s ahead of this service's, or was"
    if not stored.is_enabled or stored.next_due_us is None:
        return None
    try:
        interval = Interval.parse(stored.interval)
    except ValueError as error:
        return f"in force is an interval that this version refuses: {error}"
    due_us = next_due(interval, stored.anchor_us, now_us)
    if stored.next_due_us <= due_us + AHEAD_SECONDS * MICROS_PER_SECOND:
        return None
    return (
        f"the next run stands for {isoformat(stored.next_due_us)}, though one is due at "
        f"{isoformat(due_us)}: a scheduler's clock ran ahead; a scheduler that runs takes it back"
    )


def _trouble(config: RetrainingConfig, stored: JobSchedule | None, now_us: int) -> str | None:
    try:
        Interval.parse(config.interval)
    except ValueError as error:
        in_force = "the last good one" if stored is None else stored.interval
        return f"RetrainingConfig.Interval: {error}; {in_force} stays in force"
    if stored is None:
        return None
    if stored.problem is not None:
        return f"RetrainingConfig.Interval: {stored.problem}"
    ahead = _ahead_of_time(stored, now_us)
    if ahead is not None:
        return ahead
    silent_seconds = (now_us - stored.checked_at_us) / MICROS_PER_SECOND
    if silent_seconds > UNATTENDED_SECONDS:
        return f"no scheduler has looked at the schedule for {silent_seconds:.0f} s"
    return None
