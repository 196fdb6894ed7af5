"""Decides whether a drift alarm starts a retraining: once per cool-down. It never promotes."""

from dataclasses import dataclass

from scheduler.drift.check import DriftReport
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, to_the_second

# Few imports: the scheduler process loads this module for its metrics.

ALARM = "alarm"
"""The key in a check's metrics that says whether there is one."""


@dataclass(frozen=True, slots=True)
class Retrainings:
    """The state of retraining, from the stored runs.

    Attributes:
        unfinished: number of the run that waits or is in progress, of any origin.
        by_drift: number of the newest run that was asked for because of drift.
        by_drift_us: when that was.
    """

    unfinished: int | None = None
    by_drift: int | None = None
    by_drift_us: int | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """The reaction to a drift report, and its reason.

    Attributes:
        advice: what a person should do, as a clause.
    """

    starts_run: bool
    reason: str
    advice: str = "nothing to do"


def respond(report: DriftReport, now_us: int, known: Retrainings, cooldown_days: float) -> Response:
    """A run for the first alarm; while one by drift is recent, only the alarm is recorded.

    Drift lasts: without a cool-down every daily check would start another run for the same
    shift.
    """
    if report.reason is not None:
        return Response(False, f"not checked: {report.reason}")
    names = ", ".join(column.name for column in report.alarms)
    if not report.drifted:
        return Response(False, "no drift")
    if known.unfinished is not None:
        return Response(
            False,
            f"drift in {names}; retraining run {known.unfinished} is not over yet",
            f"retraining run {known.unfinished} is not over yet: wait for it and read its report",
        )
    if known.by_drift_us is not None and _days(known.by_drift_us, now_us) < cooldown_days:
        until = to_the_second(known.by_drift_us + round(cooldown_days * MICROS_PER_DAY))
        return Response(
            False,
            f"drift in {names}; a run for drift started less than {cooldown_days:g} days ago",
            f"read the report of run {known.by_drift}, which was started for drift "
            f"{_ago(known.by_drift_us, now_us)}; the next one may start at {until}",
        )
    return Response(
        True,
        f"drift in {names}",
        "check first whether a data error explains it; if reality has changed, a "
        "retraining learns it, and only its gates can promote",
    )


def _ago(start_us: int, end_us: int) -> str:
    """A time in the past in the largest unit that it fills."""
    for unit, size_us in (("day", MICROS_PER_DAY), ("hour", MICROS_PER_HOUR)):
        if (count := (end_us - start_us) // size_us) > 0:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "within the last hour"


def _days(start_us: int, end_us: int) -> float:
    return (end_us - start_us) / MICROS_PER_DAY
