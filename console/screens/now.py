"""Screen 1, Now: is all well, and if not, what do I do?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from console.files import ModelFiles
from console.sampler import Samples
from console.screen import Params, Reading, Row, Screen
from console.screens.common import (
    configuration,
    current_model,
    health,
    live_version,
    newest_of,
    newest_runs,
    schedules,
)
from console.wording import WHAT_TO_DO, run_sentence
from shared.clock import MICROS_PER_SECOND, isoformat
from shared.contracts.health import Component, Health
from shared.contracts.models import CurrentModel
from shared.contracts.rollouts import RolloutView
from shared.run_progress import RunProgress, running_now
from shared.tables.job_schedules import RETRAINING, JobSchedule
from shared.tables.schema import approvals
from shared.tables.schema import model_training_runs as runs_table

# A scheduler records every ten seconds that it checked the schedule.
_UNATTENDED_SECONDS = 60
_CHART_POINTS = 120
_OF_DATA = frozenset({"data_quality", "feature_quality"})
_REMEDIES = {
    "model": "If it began with the last promotion, roll it back: Undo and steer.",
    "journal": "Decisions are safe in the journal; look at the database and the disk.",
    "database": "Look at the database and at the log of the API; scoring goes on meanwhile.",
    "history": "Look at the load of the database; rows are scored without their past meanwhile.",
    "retraining": "See Schedule: a wrong interval, or no scheduler that runs.",
    "clock": "Look at the time service of the machine.",
}


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs a person, and what the person does."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Due:
    """The next instant of a job."""

    job: str
    interval: str
    next_due: str | None
    disabled_word: str | None


@dataclass(frozen=True, slots=True)
class Rate:
    """Decisions a second and the 95th percentile of a row's time, over one period."""

    at: float
    rows_per_second: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class NowView:
    """The state of everything in one place."""

    is_well: bool
    sentence: str
    concerns: tuple[Concern, ...]
    version: str | None
    live_since: str | None
    fallback: str | None
    model: CurrentModel | None
    rollout: RolloutView | None
    health: Health | None
    due: tuple[Due, ...]
    last_run: dict[str, Any] | None
    last_run_sentence: str | None
    progress: RunProgress | None
    not_watched: tuple[str, ...]
    rates: tuple[Rate, ...]


def read(reading: Reading, _params: Params) -> NowView:
    """Everything that is read is short: two answers of the API, two queries, one file."""
    state, current = health(reading), current_model(reading)
    version, jobs = live_version(reading), schedules(reading)
    progress = reading.database("progress", _progress(reading.now_us), None)
    runs = newest_runs(reading, RETRAINING, 1)
    concerns = (*_of_api(reading, state), *_of_scheduler(jobs, reading.now_us))
    concerns += tuple(_of_run(runs))
    concerns += (*_of_waiting(reading), *_of_drift(reading))
    return NowView(
        is_well=not concerns and not reading.troubles,
        sentence=_sentence(version, concerns, reading, progress),
        concerns=concerns,
        version=version,
        live_since=current.activated_at if current else _since(reading, version),
        fallback=None if current is None else current.fallback,
        model=current,
        rollout=None if current is None else current.rollout,
        health=state,
        due=tuple(_due(job) for job in jobs),
        last_run=runs[0] if runs else None,
        last_run_sentence=run_sentence(runs[0], ()) if runs else None,
        progress=progress,
        not_watched=tuple(_not_watched(reading, jobs)),
        rates=rates(reading.sources.samples),
    )


def _progress(now_us: int) -> Callable[[Connection], RunProgress | None]:
    return lambda connection: running_now(connection, now_us)


def _of_waiting(reading: Reading) -> list[Concern]:
    return [
        Concern(
            f"{version} passed every gate and waits for a person to approve it.",
            "Look at Approvals and approve or refuse it there.",
        )
        for version in reading.rows("waiting", _waiting)
    ]


def _waiting(connection: Connection) -> list[str]:
    query = select(approvals.c.version).where(approvals.c.state == "waiting").limit(5)
    return list(connection.scalars(query))


def _since(reading: Reading, version: str | None) -> str | None:
    """The start of the live version's service by the ledger, if the API does not answer."""
    ledger = reading.files("ledger", ModelFiles.ledger, None)
    if ledger is None or not ledger.activations or ledger.activations[-1].version != version:
        return None
    return isoformat(ledger.activations[-1].activated_at_us)


def _sentence(
    version: str | None,
    concerns: Sequence[Concern],
    reading: Reading,
    progress: RunProgress | None,
) -> str:
    if version is None and progress is not None:
        return "No version is live yet: the first model is being trained."
    if version is None:
        return "No version is live yet: the first training run has not been promoted."
    if concerns:
        count = len(concerns)
        return f"{count} {'thing needs' if count == 1 else 'things need'} you; what to do is below."
    if reading.troubles:
        return "What could be read is well; some of it could not be read."
    return f"All is well: {version} is live."


def _of_api(reading: Reading, state: Health | None) -> tuple[Concern, ...]:
    if state is None:
        return (
            Concern(
                f"The API at {reading.sources.api.url} does not answer.",
                "Start it (`understudy run`), or look at its log; what follows is from files.",
            ),
        )
    wrong = [(name, part) for name, part in state.components.items() if part.state != "ok"]
    return tuple(_of_component(name, part) for name, part in wrong)


def _of_component(name: str, part: Component) -> Concern:
    remedy = _REMEDIES.get(name, "See docs/operations/README.md, and the log of the API.")
    return Concern(f"{name.capitalize()}: {part.detail}.", remedy)


def _of_scheduler(jobs: Sequence[JobSchedule], now_us: int) -> tuple[Concern, ...]:
    concerns = [
        Concern(f"The schedule of {job.job} cannot be used: {job.problem}.", "Set it: Schedule.")
        for job in jobs
        if job.problem
    ]
    newest_us = max((job.checked_at_us for job in jobs), default=None)
    if newest_us is not None and now_us - newest_us > _UNATTENDED_SECONDS * MICROS_PER_SECOND:
        minutes = (now_us - newest_us) / MICROS_PER_SECOND / 60
        concerns.append(
            Concern(
                f"No scheduler has looked for {minutes:,.0f} minutes: nothing will be retrained.",
                "Start it (`understudy run`), or look at its log.",
            )
        )
    return tuple(concerns)


def _of_run(runs: Sequence[dict[str, Any]]) -> list[Concern]:
    if not runs:
        return []
    run_id, message = runs[0]["runid"], str(runs[0]["statusmessage"] or "").rstrip(".")
    if runs[0]["status"] == "FAILED":
        why = f"Training run {run_id} failed: {message}."
        return [Concern(why, "Its page (Runs) has the step; then retrain: Undo and steer.")]
    gate, _, rest = message.partition(" FAIL: ")
    if runs[0]["status"] != "REFUSED" or gate not in _OF_DATA:
        return []
    # unlike a worse candidate, this stays until a person does something
    why = f"Training run {run_id} was refused for its data: {rest}."
    return [Concern(why, f"{WHAT_TO_DO[gate, 'FAIL']} Every figure is on its page: Runs.")]


def _of_drift(reading: Reading) -> list[Concern]:
    """The newest check, if it found that live rows are unlike those of the training."""
    for found in reading.rows("newest_drift", _newest_drift):
        metrics = found["metrics"] if isinstance(found["metrics"], dict) else {}
        columns = metrics.get("columns")
        listed = columns if isinstance(columns, list) else []
        if any(isinstance(one, dict) and one.get("alarm") is True for one in listed):
            answer = str(metrics.get("answer") or found["statusmessage"] or "").rstrip(".")
            why = f"Drift: {answer.removeprefix('Yes: ')}."
            return [Concern(why, "Look at Drift: has reality changed, or is a pipeline broken?")]
    return []


def _newest_drift(connection: Connection) -> list[dict[str, Any]]:
    columns = (runs_table.c.metrics, runs_table.c.statusmessage)
    query = select(*columns).where(newest_of("drift", 1))
    return [dict(row) for row in connection.execute(query).mappings()]


def _due(job: JobSchedule) -> Due:
    if not job.is_enabled:
        return Due(job.job, job.interval, None, job.disabled_word)
    at = None if job.next_due_us is None else isoformat(job.next_due_us)
    return Due(job.job, job.interval, at, None)


def _not_watched(reading: Reading, jobs: Sequence[JobSchedule]) -> list[str]:
    """Parts of the monitoring that are switched off."""
    found = []
    named = {job.job: job for job in jobs}
    if "drift" not in named or not named["drift"].is_enabled:
        found.append("Drift: recent rows are not compared with the training data.")
    config = configuration(reading)
    if config and not config["isenabled"]:
        found.append("Freshness: retraining is paused, so the model grows old.")
    if not reading.sources.samples.series("understudy_runs_total"):
        found.append("The scheduler's metrics: set METRICS_PORT, or SCHEDULER_METRICS_URL.")
    return found


def rates(samples: Samples, points: int = _CHART_POINTS) -> tuple[Rate, ...]:
    """The newest periods, oldest first."""
    instants = samples.instants()[-points - 1 :]
    decided = [list(one.values)[-len(instants) :] for one in samples.series(_DECISIONS)]
    edges = {
        float(dict(one.labels)["le"]): list(one.values)[-len(instants) :]
        for one in samples.series(_BUCKETS)
    }
    return tuple(
        Rate(
            instants[place],
            _growth(decided, place, instants[place] - instants[place - 1]),
            _p95_ms({edge: _grown(values, place) for edge, values in edges.items()}),
        )
        for place in range(1, len(instants))
    )


_DECISIONS = "understudy_decisions_total"
_BUCKETS = "understudy_version_row_seconds_bucket"


def _growth(series: Sequence[Sequence[float]], place: int, seconds: float) -> float | None:
    grown = [_grown(values, place) for values in series]
    known = [value for value in grown if value is not None]
    return sum(known) / seconds if known and seconds > 0 else None


def _grown(values: Sequence[float], place: int) -> float | None:
    """The growth of a counter; one that restarted grew by its present value."""
    before, now = values[place - 1], values[place]
    if math.isnan(now) or math.isnan(before):
        return None
    return now - before if now >= before else now


def _p95_ms(grown: dict[float, float | None]) -> float | None:
    """The upper edge of the bucket that holds the 95th percentile."""
    known = {edge: value for edge, value in grown.items() if value is not None}
    total = max(known.values(), default=0.0)
    if total <= 0:
        return None
    edge = min((edge for edge, value in known.items() if value >= 0.95 * total), default=None)
    return None if edge is None or edge == float("inf") else edge * 1_000


def rows(view: NowView) -> list[Row]:
    """One line for each part."""
    parts: dict[str, Component] = {} if view.health is None else view.health.components
    lines: list[Row] = [
        {"part": "live version", "state": view.version or "none", "detail": view.live_since or ""}
    ]
    lines += [{"part": n, "state": p.state, "detail": p.detail} for n, p in parts.items()]
    lines += [
        {
            "part": f"next {one.job}",
            "state": "due",
            "detail": one.disabled_word or one.next_due or "",
        }
        for one in view.due
    ]
    return lines


SCREEN = Screen(
    number=1,
    path="/now",
    name="Now",
    question="Is all well, and if not, what do I do?",
    template="now.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy status",
)
