"""Health routes: liveness, readiness, the state of every part, and metrics."""

import time
from contextlib import suppress
from typing import Literal, NamedTuple

from fastapi import FastAPI, Response
from sqlalchemy import Engine

from api.http.auth import RouteSpec, add_route
from api.http.problems import JOURNAL_FULL, NO_MODEL, SCORING_FAILED, Problem
from api.metrics import CONTENT_TYPE
from api.rollout.arm_statistics import rollout_view
from api.service import Service
from api.workers.merged_metrics import SharedRendering
from api.workers.peers.network import Peers
from shared.clock import MICROS_PER_SECOND, isoformat, to_the_second
from shared.contracts.health import Alive, Component, Health, Ready, State
from shared.contracts.rollouts import Mode
from shared.errors import DataUnavailable
from shared.intervals import Interval, next_due
from shared.machine_metrics import clock_trouble
from shared.run_progress import running_now
from shared.tables.approvals import waiting
from shared.tables.config import RetrainingConfig, read_retraining_config
from shared.tables.engine import database_errors, file_of, is_current
from shared.tables.job_schedules import RETRAINING, JobSchedule, read_schedules
from shared.tables.reads import standing_of

# Time for which health reports that the database file was removed or replaced.
_REMEMBERED_SECONDS = 3_600.0

# a scheduler records every ten seconds that it checked the schedule
UNATTENDED_SECONDS = 60
# tolerated difference of two machines' clocks
AHEAD_SECONDS = 60

Figures = dict[str, int | float | str | bool | None]

# Much longer than the largest round of the drain takes.
_LONG_LAG_SECONDS = 60.0


def database_standing(engine: Engine) -> tuple[State, str]:
    """State and detail; the driver's error text may name hosts and users: only the log has it."""
    try:
        is_ready = is_current(engine)
    except DataUnavailable:
        return "down", "cannot be reached; scoring goes on and decisions wait in the journal"
    if not is_ready:
        detail = (
            "answers, but its tables are missing or not those of this version; decisions wait in "
            "the journal until they can be made"
        )
        return "down", detail
    file = file_of(engine)
    changed_at = None if file is None else file.changed_at
    if changed_at is not None and time.monotonic() - changed_at < _REMEMBERED_SECONDS:
        detail = (
            "answers; its file was removed or replaced within the last hour: what that file held "
            "is not in this one"
        )
        return "degraded", detail
    return "ok", "answers"


def history_standing(reading: Engine) -> tuple[State, str, dict[str, float]]:
    """True if stored history reaches requests in time."""
    standing = standing_of(reading)
    seconds, figures = standing.failing_seconds, {"missed_reads": float(standing.missed_reads)}
    if seconds is None:
        return "ok", "read in time", figures
    detail = "cannot be read in time; rows are scored without what the database knows of the past"
    return "degraded", detail, figures | {"for_seconds": round(seconds, 1)}


class PartState(NamedTuple):
    """A state, what it means, and figures."""

    state: Literal["ok", "degraded"]
    detail: str
    figures: Figures


def schedule_standing(engine: Engine, now_us: int) -> PartState:
    """The configured schedule, the one in force, and whether a scheduler follows it."""
    try:
        config = read_retraining_config(engine)
        stored = {schedule.job: schedule for schedule in read_schedules(engine)}.get(RETRAINING)
    except DataUnavailable as error:
        return PartState("degraded", str(error), {})
    figures = _figures(config, stored)
    trouble = _trouble(config, stored, now_us)
    if trouble is not None:
        return PartState("degraded", trouble, figures)
    detail = "on schedule" if config.is_enabled else "switched off by IsEnabled = 0"
    progress = _progress(engine, now_us)
    return PartState("ok", detail if progress is None else f"{detail}; {progress}", figures)


def _progress(engine: Engine, now_us: int) -> str | None:
    """The run in progress in one sentence; None: there is none, or it cannot be read now."""
    with suppress(DataUnavailable), database_errors("read the run"), engine.connect() as connection:
        found = running_now(connection, now_us)
        return None if found is None else found.sentence(now_us)
    return None


def _figures(config: RetrainingConfig, stored: JobSchedule | None) -> Figures:
    return {
        "interval": config.interval,
        "interval_in_force": None if stored is None else stored.interval,
        "enabled": config.is_enabled,
        "last_run": None if config.last_run is None else config.last_run.isoformat(),
        "next_run": None if config.next_run is None else config.next_run.isoformat(),
    }


def _ahead_of_time(stored: JobSchedule, now_us: int) -> str | None:
    """True if a scheduler whose clock ran ahead handled instants that are not due yet."""
    seconds = (stored.checked_at_us - now_us) / MICROS_PER_SECOND
    if seconds > AHEAD_SECONDS:
        return f"a scheduler's clock is {seconds:,.0f} s ahead of this service's, or was"
    if not stored.is_enabled or stored.next_due_us is None:
        return None
    try:
        interval = Interval.parse(stored.interval)
    except ValueError as error:
        return f"the interval in force is one that this version refuses: {error}"
    due_us = next_due(interval, stored.anchor_us, now_us)
    if stored.next_due_us <= due_us + AHEAD_SECONDS * MICROS_PER_SECOND:
        return None
    return (
        f"the next run is recorded for {isoformat(stored.next_due_us)}, though one is due at "
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
        return f"no scheduler has checked the schedule for {silent_seconds:.0f} s"
    return None


def add_health_routes(app: FastAPI, service: Service) -> None:
    """GET /api/health, /livez, /readyz, /metrics: without credentials."""

    def health() -> Health:
        return _health(service)

    async def livez() -> Alive:
        _check_scoring(service)
        return Alive()

    async def readyz() -> Ready:
        _check_scoring(service)
        refusal = service.journaling.journal.refusal
        if service.models.slot.live is None:
            raise Problem(NO_MODEL, "the first model has not been promoted yet")
        if refusal is not None:
            raise Problem(JOURNAL_FULL, refusal)
        behind = service.models.promoter.behind
        why = None if behind is None else f"{behind.version}: {behind.reason}"
        state, detail, _ = history_standing(service.database.reading)
        history = None if state == "ok" else detail
        return Ready(version=service.models.slot.version, behind=why, history=history)

    figures = SharedRendering(service.workers.merged_metrics.render, "figures")

    async def metrics() -> Response:
        return Response(await figures(), media_type=CONTENT_TYPE)

    tags = {"tags": ["health"]}
    specs = (
        RouteSpec("GET", "/api/health", health, options={**tags, "summary": "Component states"}),
        RouteSpec("GET", "/livez", livez, problems=(SCORING_FAILED,),
                options={**tags, "summary": "The process answers"}),
        RouteSpec("GET", "/readyz", readyz, problems=(NO_MODEL, JOURNAL_FULL, SCORING_FAILED),
                options={**tags, "summary": "Rows can be scored"}),
        RouteSpec("GET", "/metrics", metrics,
                options={**tags, "summary": "Metrics for Prometheus", "response_class": Response}),
    )  # fmt: skip
    for spec in specs:
        add_route(app, service.access.authenticator, spec)


def _check_scoring(service: Service) -> None:
    """A supervisor that restarts on a failing /livez restarts for a model that hangs, too.

    Raises:
        Problem: rows have been on the scoring thread for as long as a worker may hang.
    """
    limit, seconds = service.settings.worker_hang_seconds, service.scoring.lane.seconds_at_work
    if limit and seconds > limit:
        version = service.models.slot.version
        detail = f"version {version} has been scoring the same rows for {seconds:.0f} s"
        raise Problem(SCORING_FAILED, detail)


def _health(service: Service) -> Health:
    components = {
        "model": _model(service),
        "workers": _workers(service),
        "journal": _journal(service),
        "database": _database(service),
        "history": _history(service),
        "clock": _clock(service),
    }
    if service.rollout_controller.rollout is not None:
        components["rollout"] = _rollout(service)
    if service.workers.peers is not None:
        components["peers"] = _peers(service.workers.peers)
    if components["database"].state != "down":
        components["retraining"] = _retraining(service)
        components |= _approval(service)
    states = {component.state for component in components.values()}
    essential = {components["model"].state, components["journal"].state}
    overall: Literal["ok", "degraded", "down"] = "ok" if states == {"ok"} else "degraded"
    return Health(status="down" if "down" in essential else overall, components=components)


def _model(service: Service) -> Component:
    live, fallback = service.models.slot.live, service.models.slot.fallback
    if live is None:
        return Component(state="down", detail="the first model has not been promoted yet")
    figures = {
        "version": live.version,
        "activated_at": isoformat(live.activated_at_us),
        "fallback": None if fallback is None else fallback.version,
    }
    pace = live.pace
    if pace.is_slow and pace.row_seconds is not None:
        detail = f"serving, and slow: {pace.row_seconds * 1e3:.0f} ms a row"
        return Component(state="degraded", detail=detail, figures=figures)
    return Component(state="ok", detail="serving", figures=figures)


def _rollout(service: Service) -> Component:
    """The version on trial; asked for only while there is one."""
    rollout = rollout_view(service.rollout_controller, service.clock.now_us())
    if rollout is None:
        return Component(state="ok", detail="no version is on trial")
    following = rollout.workers.following
    figures = {
        "version": rollout.version,
        "share_percent": rollout.share_percent,
        "stage_since": rollout.stage_since[:19] + "Z",
        "candidate_rows": rollout.arms.candidate.requests,
        "candidate_errors": rollout.arms.candidate.errors,
        "champion_rows": rollout.arms.champion.requests,
        "workers_following": following,
    }
    if rollout.mode is Mode.SHADOW:
        detail = "shadow: it answers no user"
    else:
        then = "promotion" if rollout.next_share is None else f"{rollout.next_share} %"
        detail = f"canary: {rollout.share_percent} % of users get its answers, next is {then}"
    if rollout.workers.troubles:
        worker, trouble = next(iter(rollout.workers.troubles.items()))
        detail = f"{detail}; worker {worker} cannot try it: {trouble}"
    is_whole = not rollout.workers.troubles
    return Component(state="ok" if is_whole else "degraded", detail=detail, figures=figures)


def _approval(service: Service) -> dict[str, Component]:
    """The candidate that waits for a person; left out where none does."""
    try:
        held = waiting(service.database.engine)
    except DataUnavailable:
        return {}  # the component `database` reports this
    if not held:
        return {}
    newest = held[0]
    figures = {
        "version": newest.version,
        "run_id": newest.run_id,
        "against": newest.champion_version,
        "expires_at": to_the_second(newest.expires_at_us),
    }
    detail = f"{newest.version} passed every gate and waits for a person to approve it"
    return {"approval": Component(state="ok", detail=detail, figures=figures)}


def _workers(service: Service) -> Component:
    workers, behind = service.workers.roster.status(), service.models.promoter.behind
    figures = {"serving": workers.serving, "total": workers.total}
    troubles = [f"worker {left.worker}: {left.reason}" for left in workers.failed]
    if behind is not None:
        troubles.insert(0, f"this worker cannot serve {behind.version}: {behind.reason}")
    if troubles:
        return Component(state="degraded", detail="; ".join(troubles), figures=figures)
    return Component(state="ok", detail="all serve this version", figures=figures)


def _peers(peers: Peers) -> Component:
    silent = peers.silent()
    figures = {"forwarding_to": len(peers.links), "calls_waiting": peers.waiting}
    if silent:
        names = ", ".join(map(str, silent))
        detail = f"rows of worker {names} wait: it is being started, or does not answer"
        return Component(state="degraded", detail=detail, figures=figures)
    return Component(state="ok", detail="every entity's worker answers", figures=figures)


def _journal(service: Service) -> Component:
    journal, orphans = service.journaling.journal, service.journaling.orphaned
    lag_seconds = max(service.journaling.drain.lag_seconds, orphans.lag_seconds)
    copies, missing = journal.damage.copies() + orphans.damaged_parts(), journal.damage.missing
    figures = {
        "backlog": journal.backlog + orphans.backlog,
        "lag_seconds": round(lag_seconds, 1),
        "bytes_used": journal.bytes_used,
        "bytes_limit": journal.max_bytes,
        "damaged_parts": copies,
        "missing_parts": missing,
    }
    if journal.refusal is not None:
        return Component(state="down", detail=journal.refusal, figures=figures)
    wrong = []
    if service.access.write_quota.is_disk_low:
        wrong.append("the disk is nearly full: rows of callers without a token are refused")
    # The driver's error text may name hosts and users; it is in the log.
    if service.journaling.drain.trouble is not None or lag_seconds > _LONG_LAG_SECONDS:
        wrong.append(f"decisions wait for the database{_doing(service.journaling.drain.trouble)}")
    if orphans.trouble is not None:
        wrong.append("decisions in the folder of another worker wait for the database")
    if copies:
        wrong.append("damaged parts are kept in JOURNAL_DIR as *.damaged or *.unreadable")
    if missing:
        wrong.append("decisions that were written to the journal are missing from it")
    if wrong:
        return Component(state="degraded", detail="; ".join(wrong), figures=figures)
    return Component(state="ok", detail="draining", figures=figures)


def _doing(trouble: str | None) -> str:
    """The failed operation, without the driver's text."""
    ours, _, driver = (trouble or "").partition(": ")
    return f": {ours}" if driver and ours.startswith("could not ") else ""


def _database(service: Service) -> Component:
    state, detail = database_standing(service.database.engine)
    return Component(state=state, detail=detail)


def _history(service: Service) -> Component:
    state, detail, figures = history_standing(service.database.reading)
    return Component(state=state, detail=detail, figures=figures)


def _clock(service: Service) -> Component:
    standing, ahead_us = service.machine_clock.standing(), service.clock.ahead_us()
    figures = {
        "gap_seconds": round(standing.gap_seconds, 3),
        "jumps": standing.jumps_forward + standing.jumps_back,
        "spikes": standing.spikes,
        "ingestion_ahead_seconds": round(ahead_us / MICROS_PER_SECOND, 3),
    }
    troubles = [trouble] if (trouble := clock_trouble(standing)) else []
    if ahead_us > MICROS_PER_SECOND:
        troubles.append(
            f"the clock was set back: ingestion stamps are {ahead_us / MICROS_PER_SECOND:,.0f} s "
            "ahead and go on in order until it has come there"
        )
    if troubles:
        return Component(state="degraded", detail="; ".join(troubles), figures=figures)
    return Component(state="ok", detail="agrees with elapsed time", figures=figures)


def _retraining(service: Service) -> Component:
    state, detail, figures = schedule_standing(service.database.engine, service.clock.now_us())
    return Component(state=state, detail=detail, figures=figures)
