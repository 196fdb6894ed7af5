"""Routes of training runs: request one, and read its state from the database."""

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response

from api.http.auth import RouteSpec, add_route, caller
from api.http.problems import DATABASE_UNAVAILABLE, INVALID_REQUEST, UNKNOWN_RUN, Problem
from api.service import Service
from shared.contracts.runs import RunRequested, Runs, RunView
from shared.keys.tokens import Role
from shared.tables.runs import RunStatus, get_run, list_runs, request_run

JOB = "retraining"


def add_retraining_routes(app: FastAPI, service: Service) -> None:
    """POST /api/mlops/trigger-retraining, GET /api/mlops/runs and /runs/{id}."""
    engine = service.database.engine

    def trigger(request: Request, response: Response) -> RunRequested:
        run_id = request_run(engine, JOB, service.clock.now_us(), caller(request).name)
        response.headers["Location"] = f"/api/mlops/runs/{run_id}"
        return RunRequested(run_id=run_id, status=RunStatus.REQUESTED)

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
        add_route(app, service.access.authenticator, spec)
