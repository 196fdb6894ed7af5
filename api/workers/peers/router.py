"""Routing by entity: a row goes to the worker that owns it, and its answer comes back verbatim.

Stands in front of what scores here: the micro-batches of the fast path, and the execution of the
ordinary routes. With one worker none of it is there.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from api.http.callers import Caller
from api.http.elements import check_elements
from api.http.failures import as_problem
from api.http.headers import JSON_HEADERS, problem_headers, rendered
from api.http.problems import WORKER_UNAVAILABLE, Problem
from api.metrics import Metrics
from api.models.model_slot import ModelSlot
from api.scoring.batching import MicroBatcher, Recipient, RowRoute
from api.scoring.endpoint import Execution, RequestWork
from api.scoring.stages import EncodedReply
from api.workers.peers.link import Call
from api.workers.peers.network import Peers
from api.workers.peers.senders import encoded_sender
from api.workers.peers.split import Part, PartAnswer, merge, split
from shared.usecase.serving import ScoringRoute

LABELS = 0


def row_operation(routes: Sequence[ScoringRoute], route: ScoringRoute) -> int:
    """The number of the call that scores one row of a route."""
    return 1 + 2 * routes.index(route)


def batch_operation(routes: Sequence[ScoringRoute], route: ScoringRoute) -> int:
    """The number of the call that scores a batch of a route."""
    return row_operation(routes, route) + 1


def unavailable() -> Problem:
    """The owner of an entity did not answer in time; no other worker may answer instead."""
    return Problem(
        WORKER_UNAVAILABLE,
        "the worker that keeps this entity's rows is not there; send the row again",
        headers={"Retry-After": "2"},
    )


class EntityRouter:
    """Takes what `MicroBatcher` takes: scores its own rows there, and forwards the others."""

    def __init__(
        self,
        batcher: MicroBatcher,
        peers: Peers,
        routes: Sequence[ScoringRoute],
        models: ModelSlot,
        metrics: Metrics,
    ) -> None:
        self._batcher = batcher
        self._peers = peers
        self._models = models
        self._metrics = metrics
        self._operations = {route.path: row_operation(routes, route) for route in routes}

    def add(self, body: bytes, row_route: RowRoute, caller: Caller, recipient: Recipient) -> None:
        """Take a request; its caller is answered at a later turn of the loop."""
        owner = self._peers.ownership.of_body(body)
        if owner.number == self._peers.number:
            self._batcher.add(body, row_route, caller, recipient)
            return
        forwarded = _Forwarded(row_route, recipient, self._models, time.perf_counter())
        operation = self._operations[row_route.route.path]
        self._metrics.forwarded_rows.inc()
        self._peers.links[owner.number].call(
            Call(
                operation,
                encoded_sender(caller),
                body,
                owner.is_named,
                forwarded.answered,
                forwarded.given_up,
            )
        )

    def flush(self) -> None:
        """Answer now whatever can be; forwarded rows are answered when their owners do."""
        self._batcher.flush()


@dataclass(slots=True)
class _Forwarded:
    row_route: RowRoute
    recipient: Recipient
    models: ModelSlot
    started: float

    def answered(self, status: int, headers: bytes, body: bytes) -> None:
        self.recipient.answer(status, headers, body)
        self.row_route.metrics.answered(status, time.perf_counter() - self.started)

    def given_up(self) -> None:
        self.answered(*told(unavailable(), self.models))


class ForwardedRows:
    """An `Execution` of one route's rows: here if they are this worker's, else with their owner."""

    def __init__(self, inner: Execution, peers: Peers, operation: int, metrics: Metrics) -> None:
        self._inner = inner
        self._peers = peers
        self._operation = operation
        self._metrics = metrics

    async def __call__(self, work: RequestWork, body: bytes, caller: Caller) -> EncodedReply:
        owner = self._peers.ownership.of_body(body)
        if owner.number == self._peers.number:
            return await self._inner(work, body, caller)
        self._metrics.forwarded_rows.inc()
        answered = await self._peers.ask(
            owner.number,
            self._operation,
            encoded_sender(caller),
            body,
            is_repeatable=owner.is_named,
        )
        if answered is None:
            raise unavailable()
        return EncodedReply(answered.body, "", answered.status, answered.headers)


class ForwardedBatches:
    """An `Execution` of one route's batches: each row by its owner, one answer in their order."""

    def __init__(
        self,
        inner: Execution,
        peers: Peers,
        operation: int,
        *,
        models: ModelSlot,
        metrics: Metrics,
        max_rows: int,
        max_elements: int,
    ) -> None:
        self._inner = inner
        self._peers = peers
        self._operation = operation
        self._models = models
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_elements = max_elements

    async def __call__(self, work: RequestWork, body: bytes, caller: Caller) -> EncodedReply:
        check_elements(body, self._max_elements)
        parts = split(body, self._peers.ownership, self._max_rows)
        if not parts or (len(parts) == 1 and parts[0].owner == self._peers.number):
            return await self._inner(work, body, caller)
        # the others first: they work while this one does
        answers = await asyncio.gather(*(self._part(work, part, caller) for part in parts))
        status, headers, merged = merge(parts, answers)
        return EncodedReply(merged, "", status, headers)

    async def _part(self, work: RequestWork, part: Part, caller: Caller) -> PartAnswer:
        if part.owner == self._peers.number:
            # lets the calls to others leave before the loop is held by this part
            await asyncio.sleep(0)
            return PartAnswer(*await outcome(self._inner, work, part.body(), caller, self._models))
        self._metrics.forwarded_rows.inc(len(part.rows))
        answered = await self._peers.ask(
            part.owner,
            self._operation,
            encoded_sender(caller),
            part.body(),
            is_repeatable=part.is_repeatable,
        )
        if answered is None:
            return PartAnswer(*told(unavailable(), self._models))
        return PartAnswer(*answered)


async def outcome(
    execution: Execution, work: RequestWork, body: bytes, caller: Caller, models: ModelSlot
) -> tuple[int, bytes, bytes]:
    """Status, header lines and body of whatever becomes of a request."""
    try:
        reply = await execution(work, body, caller)
    except Exception as error:  # noqa: BLE001 - becomes a logged 500
        return told(as_problem(error, "forwarded"), models)
    return 200, rendered([*JSON_HEADERS, (b"x-model-version", reply.version.encode())]), reply.body


def told(problem: Problem, models: ModelSlot) -> tuple[int, bytes, bytes]:
    """Status, header lines and body of a problem."""
    headers = rendered(problem_headers(problem, models.version_header))
    return problem.kind.status, headers, problem.render()
