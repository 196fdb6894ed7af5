"""Whether an alarm starts a retraining: once per cool-down, and never a promotion by itself."""

from dataclasses import dataclass

from scheduler.drift.check import DriftReport
from shared.clock import MICROS_PER_DAY


@dataclass(frozen=True, slots=True)
class Response:
    """What to do about a report, and why."""

    starts_run: bool
    reason: str


def respond(
    report: DriftReport, now_us: int, last_run_us: int | None, cooldown_days: float
) -> Response:
    """A run for the first alarm; while one by drift is recent, only the alarm is recorded.

    `last_run_us` is when a retraining last started because of drift. Drift lasts: without a
    cool-down every daily check would start another run for the same shift.
    """
    if report.reason is not None:
        return Response(False, f"not checked: {report.reason}")
    names = ", ".join(column.name for column in report.alarms)
    if not report.drifted:
        return Response(False, "no drift")
    if last_run_us is not None and now_us - last_run_us < cooldown_days * MICROS_PER_DAY:
        return Response(
            False, f"drift in {names}; a run for drift started less than {cooldown_days:g} days ago"
        )
    return Response(True, f"drift in {names}")
