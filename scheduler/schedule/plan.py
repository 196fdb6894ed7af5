"""The plan: which schedule is in force, and what becomes of each due instant; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scheduler.schedule.table import ScheduleRow
from shared.clock import MICROS_PER_SECOND, isoformat
from shared.intervals import Interval, next_due
from shared.tables.job_schedules import JobSchedule, ScheduleAnswer
from shared.tables.runs import RunStatus

DEFAULT_INTERVAL = "1W"
# Missed instants are recorded in portions of this size, to keep transactions short.
PORTION = 2_000
# Tolerated difference between the clocks of two schedulers.
AHEAD_US = 60 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class ScheduleStep:
    """The result of one evaluation of a schedule: its new state, and rows for the due instants.

    Attributes:
        undo_after_us: rows of instants after this were written by a clock that ran ahead.
    """

    schedule: JobSchedule
    answers: tuple[ScheduleAnswer, ...]
    is_news: bool
    undo_after_us: int | None = None


def follow(job: str, row: ScheduleRow, stored: JobSchedule | None, now_us: int) -> JobSchedule:
    """The schedule in force after the configuration was read.

    A change owes nothing from before it. A value that does not parse keeps the last good one.
    """
    if stored is not None and is_from_the_future(stored, now_us):
        stored = _taken_back(stored, now_us)
    text, problem = _in_force(row.interval, stored)
    wanted = JobSchedule(
        job=job,
        interval=text,
        is_enabled=row.is_enabled,
        anchor_us=row.anchor_us,
        in_force_since_us=now_us,
        answered_to_us=now_us,
        next_due_us=None,
        checked_at_us=now_us,
        problem=problem,
    )
    if stored is not None and _is_same(stored, wanted):
        wanted = replace(
            stored, interval=wanted.interval, checked_at_us=now_us, problem=wanted.problem
        )
    return _with_next(wanted)


def answer(
    schedule: JobSchedule, now_us: int, window_us: int, busy_run: int | None
) -> ScheduleStep:
    """The outcome of every instant that was due since the last evaluation.

    The latest is run, unless a run of this job is not over yet or it was due longer ago than
    the catch-up window. The others were missed.
    """
    if not schedule.is_enabled:
        return ScheduleStep(replace(schedule, answered_to_us=now_us), (), is_news=False)
    dues = list(_due(schedule, now_us))
    if not dues:
        return ScheduleStep(schedule, (), is_news=False)
    answers = [_missed(due_us, "missed", "no scheduler was running") for due_us in dues]
    if len(dues) < PORTION:
        answers[-1] = _latest(dues[-1], now_us, window_us, busy_run)
    answered = _with_next(replace(schedule, answered_to_us=dues[-1]))
    return ScheduleStep(answered, tuple(answers), is_news=True)


def is_from_the_future(stored: JobSchedule, now_us: int) -> bool:
    """True if the last evaluation lies in the future: one of the clocks is wrong."""
    return max(stored.checked_at_us, stored.answered_to_us) > now_us + AHEAD_US


def _taken_back(stored: JobSchedule, now_us: int) -> JobSchedule:
    """The state as if the last evaluation were now: later instants are handled when due."""
    return replace(
        stored,
        answered_to_us=min(stored.answered_to_us, now_us),
        in_force_since_us=min(stored.in_force_since_us, now_us),
        checked_at_us=now_us,
    )


def in_force(schedule: JobSchedule) -> Interval:
    return Interval.parse(schedule.interval)


def _in_force(text: str, stored: JobSchedule | None) -> tuple[str, str | None]:
    try:
        return Interval.parse(text).text, None
    except ValueError as error:
        last_good = stored.interval if stored and _parses(stored.interval) else DEFAULT_INTERVAL
        return last_good, f"{error}; {last_good} stays in force"


def _parses(text: str) -> bool:
    """A schedule that an earlier release accepted may be invalid in this one."""
    try:
        Interval.parse(text)
    except ValueError:
        return False
    return True


def _is_same(stored: JobSchedule, wanted: JobSchedule) -> bool:
    if not _parses(stored.interval):
        return False
    return (in_force(stored), stored.anchor_us, stored.is_enabled) == (
        in_force(wanted),
        wanted.anchor_us,
        wanted.is_enabled,
    )


def _with_next(schedule: JobSchedule) -> JobSchedule:
    if not schedule.is_enabled:
        return replace(schedule, next_due_us=None)
    upcoming = next_due(in_force(schedule), schedule.anchor_us, schedule.answered_to_us)
    return replace(schedule, next_due_us=upcoming)


def _due(schedule: JobSchedule, now_us: int) -> Iterator[int]:
    interval, due_us = in_force(schedule), schedule.next_due_us
    for _ in range(PORTION):
        if due_us is None or due_us > now_us:
            return
        yield due_us
        due_us = next_due(interval, schedule.anchor_us, due_us)


def _latest(due_us: int, now_us: int, window_us: int, busy_run: int | None) -> ScheduleAnswer:
    if now_us - due_us > window_us:
        return _missed(due_us, "outside_window", "longer ago than CATCH_UP_SECONDS")
    if busy_run is not None:
        reason = f"run {busy_run} was not over"
        return ScheduleAnswer(due_us, RunStatus.SKIPPED, "overlap", reason)
    return ScheduleAnswer(due_us, RunStatus.REQUESTED)


def _missed(due_us: int, code: str, reason: str) -> ScheduleAnswer:
    return ScheduleAnswer(due_us, RunStatus.MISSED, code, reason)


def shown(answers: Sequence[ScheduleAnswer]) -> dict[str, str]:
    """First and last due instant of a portion, for the log."""
    return {"first": isoformat(answers[0].due_us), "last": isoformat(answers[-1].due_us)}
