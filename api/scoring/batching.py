"""Micro-batches: rows that arrived while the event loop was busy are scored together.

A row alone costs ten calls into other libraries; a micro-batch shares them. No request waits for a
batch to fill: under little load it holds one row, and it grows with the load, for as long as its
rows are quick. Rows of a slow version are scored on a thread meanwhile (`api.scoring.lane`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import orjson
from structlog.contextvars import get_contextvars

from api.http.callers import Caller
from api.http.errors import as_problem
from api.http.headers import JSON_HEADERS, problem_headers, rendered
from api.http.layers import REQUEST_ID_HEADER, request_fields
from api.http.problems import Problem
from api.models.model_slot import ModelSlot
from api.row_metrics import RouteMetrics
from api.scoring.lane import ScoringLane
from api.scoring.model_router import Isolation
from api.scoring.pipeline import ScoringPipeline
from api.scoring.requests import RowParser
from api.scoring.stages import Received, Reply, RowOutcome
from api.tracing.tracers import BatchTrace, BatchTracer, TracedRequest
from shared.tracing.spans import current_context
from shared.usecase.serving import ScoringRoute

# Larger batches save little, and this one already holds the event loop for two milliseconds.
MAX_ROWS = 64
_FAILED = 500


class Recipient(Protocol):
    """A connection that waits for an answer.

    Attributes:
        traceparent: the trace context that the caller sent.
    """

    traceparent: bytes | None

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

    def log_fields(self, trace: BatchTrace | None = None) -> dict[str, Any]:
        """Names of the request in logs; used only if it failed.

        Its trace is that of its caller, else that of its micro-batch.
        """
        if self.fields is None:
            if isinstance(self.recipient, _FutureRecipient):
                self.fields = self.recipient.fields
            else:
                self.fields = request_fields(getattr(self.recipient, "asked", ()))
            if trace is not None:
                self.fields = {"trace_id": trace.context.trace_id, **self.fields}
        return self.fields

    def traced(self) -> TracedRequest:
        """Its attributes in a trace; only for a request with a context."""
        return TracedRequest(
            self.recipient.traceparent or b"",
            self.started,
            self.row_route.route.path,
            isinstance(self.recipient, _FutureRecipient),
        )


@dataclass(frozen=True, slots=True)
class _FutureRecipient:
    """A coroutine that waits for a row's outcome, and counts its answer itself."""

    outcome: "asyncio.Future[RowOutcome]"
    fields: dict[str, Any]
    traceparent: bytes | None = None

    def resolve(self, outcome: RowOutcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class HoldsReplies(Protocol):
    """Holds replies that may not leave yet."""

    def hold(
        self, received: Received, outcome: RowOutcome, deliver: Callable[[RowOutcome], None]
    ) -> None:
        """Deliver the outcome when it may leave."""
        ...


class MicroBatcher:
    """Collects requests on the event loop, and scores them at its next turn."""

    def __init__(
        self,
        pipeline: ScoringPipeline,
        models: ModelSlot,
        lane: ScoringLane,
        tracer: BatchTracer | None = None,
        holder: HoldsReplies | None = None,
    ) -> None:
        self._tracer = tracer
        self._holder = holder
        self._context = copy_context()
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
        context = current_context()
        traceparent = None if context is None else context.traceparent.encode()
        recipient = _FutureRecipient(outcome, get_contextvars(), traceparent)
        # this row may start the micro-batch, which must not run in the context of one request
        self._context.run(self.add, body, row_route, caller, recipient)
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
        trace = None if self._tracer is None else BatchTrace(began)
        received = self._received(requests, trace)
        outcomes = self._outcomes(received, trace)
        self._answer(received, outcomes, trace)
        if requests:
            self._end(requests, trace)
            self._lane.took(len(requests), time.perf_counter() - began)

    def _score_on_thread(self) -> None:
        requests = self._take()
        trace = None if self._tracer is None else BatchTrace(time.perf_counter())
        received = self._received(requests, trace)
        outcomes: list[RowOutcome] = []

        def score() -> None:
            outcomes.extend(self._outcomes(received, trace))

        def done() -> None:
            self._answer(received, outcomes, trace)
            self._end(requests, trace)
            self._next()

        self._lane.offload(score, done)

    def _end(self, requests: Sequence[PendingRequest], trace: BatchTrace | None) -> None:
        if self._tracer is None or trace is None or not requests:
            return
        callers = [one.traced() for one in requests if one.recipient.traceparent is not None]
        first = requests[0]

        def about() -> dict[str, str]:
            return {"route": first.row_route.route.path, "model.version": self._models.version}

        self._tracer.end(trace, first.started, len(requests), callers, about)

    def _take(self) -> list[PendingRequest]:
        count = self._lane.rows_at_once(MAX_ROWS)
        requests, self._pending = self._pending[:count], self._pending[count:]
        return requests

    def _received(
        self, requests: Sequence[PendingRequest], trace: BatchTrace | None
    ) -> list[tuple[PendingRequest, Received]]:
        """Requests that could be parsed; the others are answered."""
        received = []
        for request in requests:
            row_route = request.row_route
            try:
                parsed = row_route.parse(request.body)
            except Problem as problem:
                self._reply(request, problem, trace)
            else:
                row = Received(parsed, row_route.route, request.caller, request.started)
                received.append((request, row))
        if trace is not None:
            trace.marks.append(time.perf_counter())
        return received

    def _outcomes(
        self, received: Sequence[tuple[PendingRequest, Received]], trace: BatchTrace | None
    ) -> Sequence[RowOutcome]:
        return score_isolated(
            self._pipeline,
            [row for _, row in received],
            lambda place: received[place][0].log_fields(trace),
            trace,
        )

    def _answer(
        self,
        received: Sequence[tuple[PendingRequest, Received]],
        outcomes: Sequence[RowOutcome],
        trace: BatchTrace | None,
    ) -> None:
        if self._holder is not None:
            for (request, row), outcome in zip(received, outcomes, strict=True):
                self._holder.hold(row, outcome, partial(self._reply, request, trace=trace))
            return
        for (request, _), outcome in zip(received, outcomes, strict=True):
            self._reply(request, outcome, trace)

    def _reply(
        self, request: PendingRequest, outcome: RowOutcome, trace: BatchTrace | None
    ) -> None:
        """Send an outcome; of one that was held the trace may have ended."""
        recipient = request.recipient
        if isinstance(outcome, Problem) and outcome.kind.status >= _FAILED:
            self._note(request, outcome, trace)
        if isinstance(recipient, _FutureRecipient):
            recipient.resolve(outcome)
            return
        if isinstance(outcome, Problem):
            status = outcome.kind.status
            own = (REQUEST_ID_HEADER, request.log_fields()["request_id"].encode())
            headers = [*problem_headers(outcome, self._models.version_header), own]
            recipient.answer(status, rendered(headers), outcome.render())
        else:
            status = 200
            recipient.answer(status, self._head_of(outcome.version), orjson.dumps(outcome.body))
        request.row_route.metrics.answered(status, time.perf_counter() - request.started)

    def _note(self, request: PendingRequest, problem: Problem, trace: BatchTrace | None) -> None:
        """A row failed: its answer names the trace that its lines of the log name."""
        if trace is not None:
            trace.failed += 1
        if trace_id := request.log_fields(trace).get("trace_id"):
            problem.extra.setdefault("trace_id", trace_id)

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
    trace: BatchTrace | None = None,
) -> Sequence[RowOutcome]:
    """Score rows of different callers: together, or one by one when anything goes wrong.

    `fields` are those of the log line of a row that fails, by its place.
    """
    if not rows:
        return ()
    marks = None if trace is None else trace.marks
    try:
        return pipeline.run(rows, isolation=Isolation.PER_ROW, marks=marks).outcomes
    except Exception as error:  # noqa: BLE001 - becomes a logged 500 of one row
        if len(rows) == 1:
            known = {**fields(0), **pipeline.names_of(rows[0])}
            return (as_problem(error, rows[0].route.path, **known),)
        if trace is not None:
            trace.is_split = True
        return [
            score_isolated(pipeline, [row], partial(_shifted, fields, place), trace)[0]
            for place, row in enumerate(rows)
        ]


def _shifted(fields: Callable[[int], Mapping[str, Any]], by: int, place: int) -> Mapping[str, Any]:
    return fields(by + place)
