"""Routes of training runs: request one, read its state, end it; and when models are retrained."""

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response

from api.http.auth import BY_OPERATORS, RouteSpec, add_route
from api.http.callers import acting_name
from api.http.problems import (
    DATABASE_UNAVAILABLE,
    INVALID_REQUEST,
    REGISTRY_FAILED,
    REPLAY_UNFINISHED,
    RUN_OVER,
    UNKNOWN_RUN,
    Problem,
)
from api.service import Service
from shared.contracts.runs import (
    REPLAY,
    CancelRequest,
    ForcedRunRequest,
    ReplayRequest,
    RunCancelled,
    RunRequested,
    Runs,
    RunView,
    ScheduleChanged,
    ScheduleRequest,
)
from shared.intervals import Interval
from shared.keys.tokens import Role
from shared.tables.config import change_retraining, read_retraining_config
from shared.tables.job_schedules import RETRAINING
from shared.tables.leases import request_cancel
from shared.tables.runs import (
    CANCELLABLE,
    ForcedBy,
    RunStatus,
    get_run,
    list_runs,
    request_alone,
    request_run,
)

_LIMIT = 16 * 1024
_BASE = "/api/mlops"
_TAGS = {"tags": ["retraining"]}
# Length of the name columns of a run.
_LONGEST_NAME = 64
RunNumber = Annotated[int, Path(ge=1, le=2**53, examples=[1])]


def add_retraining_routes(app: FastAPI, service: Service) -> None:
    """Routes below /api/mlops."""
    engine = service.database.engine

    def trigger(request: Request, response: Response) -> RunRequested:
        who = acting_name(request)[:_LONGEST_NAME]
        run_id = request_run(engine, RETRAINING, service.clock.now_us(), who)
        response.headers["Location"] = f"/api/mlops/runs/{run_id}"
        return RunRequested(run_id=run_id, status=RunStatus.REQUESTED)

    def force(request: Request, body: ForcedRunRequest, response: Response) -> RunRequested:
        run_id = _force(service, acting_name(request), body.reason)
        response.headers["Location"] = f"/api/mlops/runs/{run_id}"
        return RunRequested(run_id=run_id, status=RunStatus.REQUESTED)

    def replay(request: Request, body: ReplayRequest, response: Response) -> RunRequested:
        run_id = _replay(service, acting_name(request), body)
        response.headers["Location"] = f"/api/mlops/runs/{run_id}"
        return RunRequested(run_id=run_id, status=RunStatus.REQUESTED)

    def cancel(request: Request, run_id: RunNumber, body: CancelRequest) -> RunCancelled:
        return _cancel(service, run_id, acting_name(request), body.reason)

    def schedule(request: Request, body: ScheduleRequest) -> ScheduleChanged:
        return _change_schedule(service, acting_name(request), body)

    specs = (
        RouteSpec("POST", f"{_BASE}/trigger-retraining", trigger, Role.TRIGGER,
                problems=(DATABASE_UNAVAILABLE,),
                options={**_TAGS, "status_code": 202, "summary": "Retrain now"},
                also=BY_OPERATORS),
        RouteSpec("POST", f"{_BASE}/force-retraining", force, Role.OPERATOR, _LIMIT,
                problems=(DATABASE_UNAVAILABLE, REGISTRY_FAILED),
                options={**_TAGS, "status_code": 202,
                         "summary": "Retrain now, also while the champion is fresh"}),
        RouteSpec("POST", f"{_BASE}/replays", replay, Role.OPERATOR, _LIMIT,
                problems=(DATABASE_UNAVAILABLE, REPLAY_UNFINISHED, REGISTRY_FAILED),
                options={**_TAGS, "status_code": 202,
                         "summary": "Replay past months with another schedule; read-only"}),
        RouteSpec("POST", f"{_BASE}/runs/{{run_id}}/cancel", cancel, Role.OPERATOR, _LIMIT,
                problems=(DATABASE_UNAVAILABLE, UNKNOWN_RUN, RUN_OVER, REGISTRY_FAILED),
                options={**_TAGS, "summary": "End a run that waits or is in progress"}),
        RouteSpec("POST", f"{_BASE}/schedule", schedule, Role.OPERATOR, _LIMIT,
                problems=(DATABASE_UNAVAILABLE, REGISTRY_FAILED),
                options={**_TAGS, "summary": "When models are retrained, and pausing that"}),
    )  # fmt: skip
    for spec in specs:
        add_route(app, service.access.authenticator, spec)
    _add_reading_routes(app, service)


def _add_reading_routes(app: FastAPI, service: Service) -> None:
    engine = service.database.engine

    def runs(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Runs:
        return Runs(runs=[RunView.model_validate(run) for run in list_runs(engine, limit)])

    def run(run_id: RunNumber) -> RunView:
        found = get_run(engine, run_id)
        if found is None:
            raise Problem(UNKNOWN_RUN, f"there is no run {run_id}; GET /api/mlops/runs lists them")
        return RunView.model_validate(found)

    specs = (
        RouteSpec("GET", f"{_BASE}/runs", runs, Role.READ,
                problems=(DATABASE_UNAVAILABLE, INVALID_REQUEST),
                options={**_TAGS, "summary": "The latest training runs"}),
        RouteSpec("GET", f"{_BASE}/runs/{{run_id}}", run, Role.READ,
                problems=(DATABASE_UNAVAILABLE, INVALID_REQUEST, UNKNOWN_RUN),
                options={**_TAGS, "summary": "One training run"}),
    )  # fmt: skip
    for spec in specs:
        add_route(app, service.access.authenticator, spec)


def _force(service: Service, who: str, reason: str) -> int:
    engine, asked_by = service.database.engine, who[:_LONGEST_NAME]
    run_id = request_run(
        engine, RETRAINING, service.clock.now_us(), asked_by, ForcedBy(who, reason)
    )
    _audit(service, "retraining-forced", who, reason, run_id=run_id)
    return run_id


def _replay(service: Service, who: str, body: ReplayRequest) -> int:
    engine, now_us = service.database.engine, service.clock.now_us()
    run_id, is_new = request_alone(engine, REPLAY, now_us, who[:_LONGEST_NAME], body.arguments)
    if not is_new:
        detail = f"the replay of run {run_id} is not over yet: wait for it, or cancel that run"
        raise Problem(REPLAY_UNFINISHED, detail)
    _audit(service, "replay-requested", who, body.reason, run_id=run_id, **body.arguments)
    return run_id


def _cancel(service: Service, run_id: int, who: str, reason: str) -> RunCancelled:
    before = request_cancel(service.database.engine, run_id, who[:_LONGEST_NAME])
    if before is None:
        raise Problem(UNKNOWN_RUN, f"there is no run {run_id}; GET /api/mlops/runs lists them")
    if before not in CANCELLABLE:
        raise Problem(RUN_OVER, f"run {run_id} is over: {before}")
    _audit(service, "run-cancelled", who, reason, run_id=run_id)
    return RunCancelled(run_id=run_id, status=before)


def _change_schedule(service: Service, who: str, body: ScheduleRequest) -> ScheduleChanged:
    if body.interval is None and body.is_enabled is None:
        raise Problem(INVALID_REQUEST, "give an interval, or is_enabled, or both")
    engine, interval = service.database.engine, None
    if body.interval is not None:
        try:
            interval = Interval.parse(body.interval).text
        except ValueError as error:
            raise Problem(INVALID_REQUEST, f"interval: {error}") from error
    change_retraining(engine, interval=interval, is_enabled=body.is_enabled)
    config = read_retraining_config(engine)
    now = {"interval": config.interval, "is_enabled": config.is_enabled}
    _audit(service, "schedule", who, body.reason, **now)
    return ScheduleChanged(interval=config.interval, is_enabled=config.is_enabled)


def _audit(service: Service, what: str, who: str, why: str, **details: object) -> None:
    try:
        service.models.audit.write(what, who, why, **details)
    except OSError as error:
        detail = f"it is done, but the audit trail could not be written: {error.strerror}"
        raise Problem(REGISTRY_FAILED, detail) from error
