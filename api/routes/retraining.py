"""Ask for a training run and see what became of it; the database is where both services meet."""

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from api.http.auth import RouteSpec, add_route, caller
from api.http.problems import DATABASE_UNAVAILABLE, INVALID_REQUEST, UNKNOWN_RUN, Problem
from api.service import Service
from shared.keys.tokens import Role
from shared.tables.runs import RunStatus, get_run, list_runs, request_run

JOB = "retraining"


class Requested(BaseModel):
    """The run exists; the scheduler starts it within seconds."""

    run_id: int
    status: RunStatus


class RunView(BaseModel):
    """One training run; instants are RFC 3339."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())

    run_id: int
    run_date: str
    job: str
    scheduled_for: str
    status: RunStatus
    code: str | None
    message: str | None
    requested_by: str | None
    started_at: str | None
    finished_at: str | None
    model_version: str | None
    champion_version: str | None
    data_size: int | None
    metrics: Any
    verdicts: Any
    decision: Any
    steps: Any
    attempts: int
    cancel_requested_by: str | None


class Runs(BaseModel):
    """Newest first."""

    runs: list[RunView]


def add_retraining_routes(app: FastAPI, service: Service) -> None:
    """POST /api/mlops/trigger-retraining, GET /api/mlops/runs and /runs/{id}."""
    engine = service.engine

    def trigger(request: Request, response: Response) -> Requested:
        run_id = request_run(engine, JOB, service.clock.now_us(), caller(request).name)
        response.headers["Location"] = f"/api/mlops/runs/{run_id}"
        return Requested(run_id=run_id, status=RunStatus.REQUESTED)

    def runs(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Runs:
        return Runs(runs=[RunView.model_validate(run) for run in list_runs(engine, limit)])

    def run(run_id: Annotated[int, Path(ge=1, le=2**53, examples=[1])]) -> RunView:
        found = get_run(engine, run_id)
        if found is None:
            raise Problem(UNKNOWN_RUN, f"there is no run {run_id}; GET /api/mlops/runs lists them")
        return RunView.model_validate(found)

    tags = {"tags": ["retraining"]}
    base = "/api/mlops"
    specs = (
        RouteSpec("POST", f"{base}/trigger-retraining", trigger, Role.TRIGGER,
                problems=(DATABASE_UNAVAILABLE,),
                options={**tags, "status_code": 202, "summary": "Retrain now"}),
        RouteSpec("GET", f"{base}/runs", runs, Role.READ,
                problems=(DATABASE_UNAVAILABLE, INVALID_REQUEST),
                options={**tags, "summary": "The latest training runs"}),
        RouteSpec("GET", f"{base}/runs/{{run_id}}", run, Role.READ,
                problems=(DATABASE_UNAVAILABLE, INVALID_REQUEST, UNKNOWN_RUN),
                options={**tags, "summary": "One training run"}),
    )  # fmt: skip
    for spec in specs:
        add_route(app, service.authenticator, spec)
