"""How the schedule stands, as far as the database tells: in force, switched off, unattended."""

from typing import Literal, NamedTuple

from sqlalchemy import Engine

from shared.clock import MICROS_PER_SECOND
from shared.errors import DataUnavailable
from shared.intervals import Interval
from shared.tables.config import RetrainingConfig, read_retraining_config
from shared.tables.job_schedules import JobSchedule, read_schedules

JOB = "retraining"
# a scheduler writes every ten seconds that it has looked
UNATTENDED_SECONDS = 60

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
    silent_seconds = (now_us - stored.checked_at_us) / MICROS_PER_SECOND
    if silent_seconds > UNATTENDED_SECONDS:
        return f"no scheduler has looked at the schedule for {silent_seconds:.0f} s"
    return None
