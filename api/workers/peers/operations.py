"""The operations of a worker for its peers: score rows and batches, and keep labels."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from api.http.headers import JSON_HEADERS, rendered
from api.http.problems import JOURNAL_FULL, Problem
from api.journal.journal import JournalFull
from api.row_metrics import RouteMetrics
from api.scoring.batching import RowRoute
from api.scoring.endpoint import RequestWork, inline
from api.scoring.requests import RowParser
from api.scoring.routes import (
    batch_work,
    explained_batch_work,
    explained_row_work,
    row_work,
)
from api.service import Service
from api.workers.peers.network import Answer, Operation
from api.workers.peers.router import decoded_sender, outcome, told
from shared.transaction import Label
from shared.usecase.serving import ScoringRoute

ExplainedWork = Callable[[Service, ScoringRoute, int], RequestWork]
PeerOutcome = Awaitable[tuple[int, bytes, bytes]]
_HEADERS = rendered(JSON_HEADERS)


def operations(service: Service) -> Sequence[Operation]:
    """Operations in the order of `api.workers.peers.router`.

    Labels, rows and batches, rows with reasons, batches with reasons.
    """
    tasks = _Tasks()
    found: list[Operation] = [tasks.run(lambda _, body: _keep_labels(service, body))]
    routes = service.use_case.routes
    for route in routes:
        found.append(_rows(service, route, tasks))
        found.append(_scored(service, batch_work(service, route), tasks))
    found += [_explained(service, route, tasks, explained_row_work) for route in routes]
    found += [_explained(service, route, tasks, explained_batch_work) for route in routes]
    return found


class _Tasks:
    """Runs coroutines as operations, and holds them until they are done."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def run(self, work: Callable[[bytes, bytes], PeerOutcome]) -> Operation:
        async def answered(context: bytes, body: bytes, answer: Answer) -> None:
            answer(*await work(context, body))

        def operation(context: bytes, body: bytes, answer: Answer) -> None:
            task = asyncio.get_running_loop().create_task(answered(context, body, answer))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        return operation


@dataclass(slots=True)
class _Peer:
    """A recipient in another worker."""

    answer: Answer
    # the worker that accepted the row knows its caller
    traceparent: bytes | None = None


def _rows(service: Service, route: ScoringRoute, tasks: _Tasks) -> Operation:
    if service.scoring.execution is not inline:
        return _scored(service, row_work(service, route), tasks)
    # the worker that accepted a row counts its answer
    row_route = RowRoute(route, RowParser(service.use_case.request_model), RouteMetrics())

    def operation(context: bytes, body: bytes, answer: Answer) -> None:
        service.scoring.batcher.add(body, row_route, decoded_sender(context), _Peer(answer))

    return operation


def _scored(service: Service, work: RequestWork, tasks: _Tasks) -> Operation:
    def scored(context: bytes, body: bytes) -> PeerOutcome:
        sender = decoded_sender(context)
        return outcome(service.scoring.execution, work, body, sender, service.models.slot)

    return tasks.run(scored)


def _explained(
    service: Service, route: ScoringRoute, tasks: _Tasks, work_of: ExplainedWork
) -> Operation:
    """An operation whose calls begin with one byte, the number of reasons."""

    def scored(context: bytes, body: bytes) -> PeerOutcome:
        work, sender = work_of(service, route, body[0]), decoded_sender(context)
        return outcome(service.scoring.execution, work, body[1:], sender, service.models.slot)

    return tasks.run(scored)


async def _keep_labels(service: Service, body: bytes) -> tuple[int, bytes, bytes]:
    """Journal labels behind their decisions in this journal; answers with their ids."""
    labels = [Label(**said) for said in orjson.loads(body)]
    try:
        held = await asyncio.to_thread(service.scoring.labels.keep_if_pending, labels)
    except JournalFull as error:
        return told(Problem(JOURNAL_FULL, str(error)), service.models.slot)
    return 200, _HEADERS, orjson.dumps(list(held))
