"""The use case's routes, mounted: one raw endpoint a route and one for its batches."""

from fastapi import FastAPI

from api.http.callers import Caller
from api.http.fast_routes import FastRoute, FastRoutes, Headers
from api.row_metrics import RouteMetrics
from api.scoring.batching import MicroBatcher, Recipient, RowRoute
from api.scoring.docs import batch_route, row_route
from api.scoring.endpoint import Execution, Option, RequestWork, ScoringEndpoint, inline
from api.scoring.explained_batches import ExplainedBatchWork
from api.scoring.reasons import ReasonedWork, Teller, noting, wanted_reasons
from api.scoring.requests import BatchParser, RowParser, elements_of_a_batch
from api.scoring.work import BatchWork, RowWork
from api.service import Service
from api.workers.peers.router import (
    EntityRouter,
    ForwardedBatches,
    ForwardedRows,
    batch_operation,
    batch_reasons_operation,
    reasons_operation,
    row_operation,
)
from shared.usecase.serving import ScoringRoute


def add_scoring_routes(app: FastAPI, service: Service) -> None:
    """The scoring routes that the use case defines."""
    settings = service.settings
    for route in service.use_case.routes:
        single = _row_endpoint(service, route)
        app.router.routes.append(row_route(route, service.use_case, single))
        if route.batch_path is not None:
            many = _batch_endpoint(service, route, route.batch_path)
            app.router.routes.append(batch_route(route, service.use_case, many, settings))


def fast_routes(service: Service) -> FastRoutes:
    """The fast path to every route of single rows; empty where scoring runs in threads.

    Its answers carry no CORS headers, so there is none where other origins are allowed.
    """
    if service.scoring.execution is not inline or service.settings.cors_origins:
        return FastRoutes()
    batcher: MicroBatcher | EntityRouter = service.scoring.batcher
    if service.workers.peers is not None:
        routes, models, metrics = service.use_case.routes, service.models.slot, service.metrics
        batcher = EntityRouter(
            service.scoring.batcher, service.workers.peers, routes, models, metrics
        )
    fast_routes: dict[bytes, FastRoute] = {
        route.path.encode(): _FastRoute(service, route, batcher)
        for route in service.use_case.routes
    }
    return FastRoutes(fast_routes, batcher.flush)


class _FastRoute:
    def __init__(
        self, service: Service, route: ScoringRoute, batcher: MicroBatcher | EntityRouter
    ) -> None:
        self.limit_bytes = service.settings.body_max_bytes
        self._scorer = service.access.authenticator.scorer
        self._quota = service.access.write_quota
        parse = RowParser(service.use_case.request_model)
        self._row_route = RowRoute(route, parse, service.metrics.row_route(route.path))
        self._batcher = batcher

    def admits(self, headers: Headers) -> Caller | None:
        caller = self._scorer(headers)
        if self._quota.is_spent and caller is not None and caller.is_anonymous:
            # refused by the FastAPI route, with its reason
            return None
        return caller

    def take(self, body: bytes, caller: Caller, recipient: Recipient) -> None:
        if caller.is_anonymous:
            self._quota.charge(body)
        self._batcher.add(body, self._row_route, caller, recipient)


def _row_reasons(service: Service, route: ScoringRoute) -> Option:
    """The option of a route of rows: `?reasons=N`."""
    scoring, peers = service.scoring, service.workers.peers
    operation = reasons_operation(service.use_case.routes, route)

    def option(query: bytes) -> tuple[RequestWork, Execution] | None:
        count = wanted_reasons(query, route.reasons)
        if not count:
            return None
        execution = scoring.execution
        if peers is not None:
            prefix = bytes([count])
            execution = ForwardedRows(execution, peers, operation, service.metrics, prefix)
        return explained_row_work(service, route, count), execution

    return option


def _batch_reasons(service: Service, route: ScoringRoute) -> Option:
    """The option of a route of batches."""
    max_rows = service.settings.explained_batch_max_rows
    operation = batch_reasons_operation(service.use_case.routes, route)

    def option(query: bytes) -> tuple[RequestWork, Execution] | None:
        count = wanted_reasons(query, route.reasons)
        if not count:
            return None
        execution = _batch_execution(service, operation, max_rows, bytes([count]))
        return explained_batch_work(service, route, count), execution

    return option


def _row_endpoint(service: Service, route: ScoringRoute) -> ScoringEndpoint:
    execution, peers = service.scoring.execution, service.workers.peers
    if peers is not None:
        operation = row_operation(service.use_case.routes, route)
        execution = ForwardedRows(execution, peers, operation, service.metrics)
    limit_bytes = service.settings.body_max_bytes
    work, option = row_work(service, route), _row_reasons(service, route)
    return _endpoint(service, work, execution, route.path, limit_bytes, option)


def _batch_endpoint(service: Service, route: ScoringRoute, path: str) -> ScoringEndpoint:
    settings, operation = service.settings, batch_operation(service.use_case.routes, route)
    execution = _batch_execution(service, operation, settings.batch_max_rows)
    work, option = batch_work(service, route), _batch_reasons(service, route)
    return _endpoint(service, work, execution, path, settings.batch_max_bytes, option)


def _batch_execution(
    service: Service, operation: int, max_rows: int, prefix: bytes = b""
) -> Execution:
    """Batches of more rows are not split: they are refused as a whole, here."""
    execution, peers = service.scoring.execution, service.workers.peers
    if peers is None:
        return execution
    all_rows = service.settings.batch_max_rows
    return ForwardedBatches(
        execution,
        peers,
        operation,
        models=service.models.slot,
        metrics=service.metrics,
        max_rows=min(max_rows, all_rows),
        max_elements=elements_of_a_batch(service.use_case.request_model, all_rows),
        prefix=prefix,
    )


def _endpoint(  # noqa: PLR0917 - one after the other as ScoringEndpoint names them
    service: Service,
    work: RequestWork,
    execution: Execution,
    path: str,
    limit_bytes: int,
    option: Option,
) -> ScoringEndpoint:
    metrics: RouteMetrics = service.metrics.row_route(path)
    return ScoringEndpoint(
        work=work,
        execution=execution,
        limit_bytes=limit_bytes,
        authenticator=service.access.authenticator,
        quota=service.access.write_quota,
        models=service.models.slot,
        metrics=metrics,
        option=option,
    )


def explained_row_work(service: Service, route: ScoringRoute, count: int) -> RequestWork:
    """Scores the body of one row and tells this many reasons.

    Raises:
        ValueError: the route tells none.
    """
    return ReasonedWork(row_work(service, noting(route)), _teller(service, route), count)


def explained_batch_work(service: Service, route: ScoringRoute, count: int) -> RequestWork:
    """Scores the body of a batch and tells this many reasons of each row.

    Raises:
        ValueError: the route tells none.
    """
    work, teller = batch_work(service, noting(route)), _teller(service, route)
    return ExplainedBatchWork(work, teller, count, service.settings.explained_batch_max_rows)


def _teller(service: Service, route: ScoringRoute) -> Teller:
    if route.reasons is None:
        raise ValueError(f"{route.path} returns no reasons")
    return Teller(service.scoring.explanations, route.reasons)


def row_work(service: Service, route: ScoringRoute) -> RowWork:
    """Scores the body of one row."""
    parse = RowParser(service.use_case.request_model)
    scoring = service.scoring
    return RowWork(
        scoring.pipeline, parse, route, scoring.batcher, scoring.lane, holder=scoring.holder
    )


def batch_work(service: Service, route: ScoringRoute) -> BatchWork:
    """Scores the body of a batch."""
    parse = BatchParser(service.use_case.request_model, service.settings.batch_max_rows)
    scoring = service.scoring
    return BatchWork(scoring.pipeline, parse, route, scoring.lane, holder=scoring.holder)
