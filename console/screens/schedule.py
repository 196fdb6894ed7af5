"""Screen 10, Schedule: what was due, what came of it, and what is next?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from console.screen import Params, Reading, Row, Screen
from console.screens.common import LIGHT_COLUMNS, configuration, schedules
from shared.clock import isoformat
from shared.intervals import FORMS, Interval, next_due
from shared.tables.job_schedules import RETRAINING, JobSchedule
from shared.tables.schema import model_training_runs

NEXT = 5
_PAST = 25


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job with its next due instants."""

    job: str
    interval: str
    disabled_word: str | None
    next_due: tuple[str, ...]
    problem: str | None
    checked_at_us: int


@dataclass(frozen=True, slots=True)
class Preview:
    """The instants of a proposed interval; `problem` says why it is invalid."""

    interval: str
    next_due: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """The schedule as configured and as in force, and the past."""

    interval: str | None
    is_enabled: bool | None
    jobs: tuple[JobLine, ...]
    past: tuple[dict[str, Any], ...]
    preview: Preview | None
    forms: str


def read(reading: Reading, params: Params) -> ScheduleView:
    """Reads the schedule; with `interval` also the next five instants of that one."""
    config, jobs = configuration(reading), schedules(reading)
    asked = params.text("interval", longest=64)
    return ScheduleView(
        interval=config.get("interval"),
        is_enabled=bool(config["isenabled"]) if config else None,
        jobs=tuple(_job(job, reading.now_us) for job in jobs),
        past=tuple(reading.rows("past", _past)),
        preview=_preview(asked, jobs, reading.now_us) if asked.strip() else None,
        forms=FORMS,
    )


def _job(job: JobSchedule, now_us: int) -> JobLine:
    due: tuple[str, ...] = ()
    if job.is_enabled:
        due = _instants(job.interval, job.anchor_us, now_us) or (
            () if job.next_due_us is None else (isoformat(job.next_due_us),)
        )
    word = None if job.is_enabled else job.disabled_word
    return JobLine(job.job, job.interval, word, due, job.problem, job.checked_at_us)


def _instants(text: str, anchor_us: int, now_us: int) -> tuple[str, ...]:
    try:
        interval = Interval.parse(text)
    except ValueError:
        return ()
    found, at_us = [], now_us
    for _ in range(NEXT):
        at_us = next_due(interval, anchor_us, at_us)
        found.append(isoformat(at_us))
    return tuple(found)


def _preview(text: str, jobs: Sequence[JobSchedule], now_us: int) -> Preview:
    """The instants count from now, as they do once the interval is set."""
    try:
        interval = Interval.parse(text)
    except ValueError as error:
        return Preview(text, (), str(error))
    known = next((job for job in jobs if job.job == RETRAINING), None)
    is_same = known is not None and known.interval == interval.text
    anchor_us = known.anchor_us if known is not None and is_same else now_us
    return Preview(interval.text, _instants(interval.text, anchor_us, now_us), None)


def _past(connection: Connection) -> list[dict[str, Any]]:
    table = model_training_runs
    query = (
        select(*(table.c[name] for name in LIGHT_COLUMNS))
        .where(table.c.jobname == RETRAINING)
        .order_by(table.c.scheduledfor.desc())
        .limit(_PAST)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def rows(view: ScheduleView) -> list[Row]:
    """Coming instants, then past ones with their result."""
    coming: list[Row] = [
        {"job": job.job, "due": due, "result": "to come"}
        for job in view.jobs
        for due in job.next_due
    ]
    past: list[Row] = [
        {"job": run["jobname"], "due": run["scheduledfor"], "result": run["status"],
         "run": run["runid"], "why": run["statusmessage"]}
        for run in view.past
    ]  # fmt: skip
    return [*coming, *past]


SCREEN = Screen(
    number=10,
    path="/schedule",
    name="Schedule",
    question="What was due, what came of it, and what is next?",
    template="schedule.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy schedule show",
)
