"""The use case's routes, mounted: one raw endpoint a route and one for its batches."""

from fastapi import FastAPI

from api.route_metrics import RouteMetrics
from api.scoring.docs import batch_route, row_route
from api.scoring.endpoint import ScoringEndpoint, Work
from api.scoring.requests import BatchParser, RowParser
from api.scoring.scorer import Reply
from api.service import Service
from shared.usecase.serving import ScoringRoute


def add_scoring_routes(app: FastAPI, service: Service) -> None:
    """What the use case answers, and nothing this service knows about."""
    max_rows = service.settings.batch_max_rows
    for route in service.use_case.routes:
        single = _endpoint(service, _row_work(service, route), route.path, batch=False)
        app.router.routes.append(row_route(route, service.use_case, single))
        if route.batch_path is not None:
            many = _endpoint(service, _batch_work(service, route), route.batch_path, batch=True)
            app.router.routes.append(batch_route(route, service.use_case, many, max_rows))


def _endpoint(service: Service, work: Work, path: str, *, batch: bool) -> ScoringEndpoint:
    settings = service.settings
    metrics: RouteMetrics = service.metrics.route(path)
    return ScoringEndpoint(
        work=work,
        execution=service.execution,
        limit_bytes=settings.batch_max_bytes if batch else settings.body_max_bytes,
        doorkeeper=service.doorkeeper,
        models=service.models,
        metrics=metrics,
    )


def _row_work(service: Service, route: ScoringRoute) -> Work:
    parse, score = RowParser(service.use_case.request_model), service.scorer.score

    def work(body: bytes) -> Reply:
        return score(parse(body), route)

    return work


def _batch_work(service: Service, route: ScoringRoute) -> Work:
    parse = BatchParser(service.use_case.request_model, service.settings.batch_max_rows)

    def work(body: bytes) -> Reply:
        return service.batch.score(parse(body), route)

    return work
