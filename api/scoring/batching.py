"""Micro-batches: rows that arrived while the event loop was busy are scored together.

A row alone costs ten calls into other libraries; a micro-batch shares them. No request waits for a
batch to fill: under little load it holds one row, and it grows with the load, for as long as its
rows are quick. Rows of a slow version are scored on a thread meanwhile (`api.scoring.lane`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import orjson
from structlog.contextvars import get_contextvars

from api.http.callers import Caller
from api.http.errors import as_problem
from api.http.headers import JSON_HEADERS, problem_headers, rendered
from api.http.problems import Problem
from api.http.request_context import REQUEST_ID_HEADER, request_fields
from api.models.model_slot import ModelSlot
from api.row_metrics import RouteMetrics
from api.scoring.lane import ScoringLane
from api.scoring.model_router import Isolation
from api.scoring.pipeline import ScoringPipeline
from api.scoring.requests import RowParser
from api.scoring.stages import Received, Reply, RowOutcome
from shared.usecase.serving import ScoringRoute

# Larger batches save little more, and these rows already hold the loop for two milliseconds.
MAX_ROWS = 64


class Recipient(Protocol):
    """A connection that waits for an answer."""

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Send it; `headers` are whole lines, without the length."""
        ...


@dataclass(frozen=True, slots=True)
class RowRoute:
    """One address whose requests are rows."""

    route: ScoringRoute
    parse: RowParser
    metrics: RouteMetrics


@dataclass(slots=True)
class PendingRequest:
    body: bytes
    row_route: RowRoute
    caller: Caller
    recipient: "Recipient | _FutureRecipient"
    started: float
    fields: dict[str, Any] | None = None

    def log_fields(self) -> dict[str, Any]:
        """What the request is called in logs; looked at only when it failed."""
        if self.fields is None:
            if isinstance(self.recipient, _FutureRecipient):
                self.fields = self.recipient.fields
            else:
                self.fields = request_fields(getattr(self.recipient, "asked", ()))
        return self.fields


@dataclass(frozen=True, slots=True)
class _FutureRecipient:
    """A coroutine that waits for a row's outcome, and counts its answer itself."""

    outcome: "asyncio.Future[RowOutcome]"
    fields: dict[str, Any]

    def resolve(self, outcome: RowOutcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class MicroBatcher:
    """Collects requests on the event loop, and scores them at its next turn."""

    def __init__(self, pipeline: ScoringPipeline, models: ModelSlot, lane: ScoringLane) -> None:
        self._pipeline = pipeline
        self._models = models
        self._lane = lane
        self._pending: list[PendingRequest] = []
        self._has_turn = False
        self._head = ("", b"")

    def add(
        self,
        body: bytes,
        row_route: RowRoute,
        caller: Caller,
        recipient: "Recipient | _FutureRecipient",
    ) -> None:
        """Take a request; its caller is answered at the loop's next turn."""
        if not self._has_turn:
            self._has_turn = True
            asyncio.get_running_loop().call_soon(self._turn)
        self._pending.append(
            PendingRequest(body, row_route, caller, recipient, time.perf_counter())
        )

    async def scored(self, body: bytes, row_route: RowRoute, caller: Caller) -> Reply:
        """The outcome of one row, scored in a micro-batch with others.

        Raises:
            Problem: of this row.
        """
        outcome: asyncio.Future[RowOutcome] = asyncio.get_running_loop().create_future()
        self.add(body, row_route, caller, _FutureRecipient(outcome, get_contextvars()))
        found = await outcome
        if isinstance(found, Problem):
            raise found
        return found

    def flush(self) -> None:
        """Score the next batch now, if that is quick; the others are scored in their turn."""
        if self._pending and self._lane.is_free:
            self._score()

    def _turn(self) -> None:
        if self._lane.is_busy:
            self._lane.post(self._turn)
        elif self._pending and self._lane.is_slow:
            self._score_on_thread()
        else:
            self._score()
            self._next()

    def _next(self) -> None:
        self._has_turn = bool(self._pending)
        if self._has_turn:
            asyncio.get_running_loop().call_soon(self._turn)

    def _score(self) -> None:
        began = time.perf_counter()
        requests = self._take()
        received = self._received(requests)
        outcomes = self._outcomes(received)
        self._answer(received, outcomes)
        if requests:
            self._lane.took(len(requests), time.perf_counter() - began)

    def _score_on_thread(self) -> None:
        received = self._received(self._take())
        outcomes: list[RowOutcome] = []

        def score() -> None:
            outcomes.extend(self._outcomes(received))

        def done() -> None:
            self._answer(received, outcomes)
            self._next()

        self._lane.offload(score, done)

    def _take(self) -> list[PendingRequest]:
        count = self._lane.rows_at_once(MAX_ROWS)
        requests, self._pending = self._pending[:count], self._pending[count:]
        return requests

    def _received(
        self, requests: Sequence[PendingRequest]
    ) -> list[tuple[PendingRequest, Received]]:
        """Requests that could be parsed; the others are answered."""
        received = []
        for request in requests:
            row_route = request.row_route
            try:
                parsed = row_route.parse(request.body)
            except Problem as problem:
                self._reply(request, problem)
            else:
                row = Received(parsed, row_route.route, request.caller, request.started)
                received.append((request, row))
        return received

    def _outcomes(
        self, received: Sequence[tuple[PendingRequest, Received]]
    ) -> Sequence[RowOutcome]:
        return score_isolated(
            self._pipeline,
            [row for _, row in received],
            lambda place: received[place][0].log_fields(),
        )

    def _answer(
        self,
        received: Sequence[tuple[PendingRequest, Received]],
        outcomes: Sequence[RowOutcome],
    ) -> None:
        for (request, _), outcome in zip(received, outcomes, strict=True):
            self._reply(request, outcome)

    def _reply(self, request: PendingRequest, outcome: RowOutcome) -> None:
        if isinstance(request.recipient, _FutureRecipient):
            request.recipient.resolve(outcome)
            return
        if isinstance(outcome, Reply):
            status = 200
            request.recipient.answer(
                200, self._head_of(outcome.version), orjson.dumps(outcome.body)
            )
        else:
            status = outcome.kind.status
            own = (REQUEST_ID_HEADER, request.log_fields()["request_id"].encode())
            headers = [*problem_headers(outcome, self._models.version_header), own]
            request.recipient.answer(status, rendered(headers), outcome.render())
        request.row_route.metrics.answered(status, time.perf_counter() - request.started)

    def _head_of(self, version: str) -> bytes:
        """Nearly always that of the row before."""
        if version != self._head[0]:
            headers = rendered([*JSON_HEADERS, (b"x-model-version", version.encode())])
            self._head = (version, headers)
        return self._head[1]


def _no_fields(_place: int) -> Mapping[str, Any]:
    return {}


def score_isolated(
    pipeline: ScoringPipeline,
    rows: Sequence[Received],
    fields: Callable[[int], Mapping[str, Any]] = _no_fields,
) -> Sequence[RowOutcome]:
    """Score rows of different callers: together, or one by one when anything goes wrong.

    `fields` are those of the log line of a row that fails, by its place.
    """
    if not rows:
        return ()
    try:
        return pipeline.run(rows, isolation=Isolation.PER_ROW).outcomes
    except Exception as error:  # noqa: BLE001 - becomes a logged 500 of one row
        if len(rows) == 1:
            known = {**fields(0), **pipeline.names_of(rows[0])}
            return (as_problem(error, rows[0].route.path, **known),)
        return [
            score_isolated(pipeline, [row], partial(_shifted, fields, place))[0]
            for place, row in enumerate(rows)
        ]


def _shifted(fields: Callable[[int], Mapping[str, Any]], by: int, place: int) -> Mapping[str, Any]:
    return fields(by + place)
