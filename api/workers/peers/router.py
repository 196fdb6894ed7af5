"""Routing by entity: a row goes to the worker that owns it, and its answer comes back verbatim.

Stands in front of what scores here: the micro-batches of the fast path, and the execution of the
ordinary routes. With one worker none of it is there.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from pydantic_core import to_json

from api.http.bodies import check_elements
from api.http.callers import Caller
from api.http.errors import as_problem
from api.http.headers import JSON_HEADERS, problem_headers, rendered
from api.http.problems import WORKER_UNAVAILABLE, Problem
from api.metrics import Metrics
from api.models.model_slot import ModelSlot
from api.scoring.batching import MicroBatcher, Recipient, RowRoute
from api.scoring.endpoint import Execution, RequestWork
from api.scoring.stages import EncodedReply
from api.workers.peers.link import Call
from api.workers.peers.network import Peers
from api.workers.peers.ownership import Ownership, parsed
from shared.keys.tokens import Role
from shared.transaction import Label
from shared.usecase.serving import ScoringRoute

LABELS = 0


@lru_cache(maxsize=1_000)
def encoded_sender(sender: Caller) -> bytes:
    """The context of a call."""
    said = [str(sender.role), sender.name, sender.is_anonymous, sender.is_trusted]
    return orjson.dumps(said)


@lru_cache(maxsize=1_000)
def decoded_sender(context: bytes) -> Caller:
    """The sender in a context."""
    role, name, is_anonymous, is_trusted = orjson.loads(context)
    return Caller(Role(role), name, is_anonymous=is_anonymous, is_trusted=is_trusted)


@dataclass(slots=True)
class OwnedRows:
    """The rows of one owner, and their places in the batch.

    Attributes:
        is_repeatable: every row has an id, so sending them again is idempotent.
    """

    owner: int
    places: list[int] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    is_repeatable: bool = True

    def body(self) -> bytes:
        """The rows as received: NaN is passed on and refused by the worker that scores it."""
        try:
            found = orjson.dumps({"instances": self.rows})
        except orjson.JSONEncodeError:  # an integer of more than 64 bits
            found = b"null"
        # orjson writes null for NaN and infinities
        if b"null" in found:
            return to_json({"instances": self.rows}, inf_nan_mode="constants")
        return found


class PartAnswer(NamedTuple):
    """The answer to a part; `headers` are whole lines."""

    status: int
    headers: bytes
    body: bytes


def split(body: bytes, ownership: Ownership, max_rows: int) -> list[OwnedRows]:
    """Parts in the order of their first rows; none where the batch cannot be split.

    A row whose id came earlier in the batch goes where that went: only there is it recognised.
    """
    rows = _rows(body)
    if not 0 < len(rows) <= max_rows:
        return []
    parts: dict[int, OwnedRows] = {}
    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        number, is_named = ownership.of(row)
        if is_named:
            number = first.setdefault(row[ownership.fields.row_id], number)
        part = parts.setdefault(number, OwnedRows(number))
        part.places.append(place)
        part.rows.append(row)
        part.is_repeatable = part.is_repeatable and is_named
    return list(parts.values())


def merge(parts: Sequence[OwnedRows], answers: Sequence[PartAnswer]) -> PartAnswer:
    """One answer, its rows in the order of the batch.

    It names the version of the first part that was scored. The rows of a part that was refused
    as a whole have its problem each; where no part was scored, its problem is the answer.
    """
    scored = [answer for answer in answers if answer.status == 200]
    if not scored:
        return answers[0]
    predictions: list[Any] = [None] * sum(len(part.places) for part in parts)
    version = None
    for part, answer in zip(parts, answers, strict=True):
        content = orjson.loads(answer.body)
        if answer.status == 200:
            version = version or content["version"]
            found = content["predictions"]
        else:
            found = [{"index": 0, "error": content}] * len(part.places)
        for place, prediction in zip(part.places, found, strict=True):
            predictions[place] = _at(place, prediction)
    body = orjson.dumps({"predictions": predictions, "version": version})
    return PartAnswer(200, scored[0].headers, body)


def _rows(body: bytes) -> Sequence[Any]:
    try:
        content = parsed(body)
    except ValueError:
        return ()
    rows = content.get("instances") if isinstance(content, dict) else None
    return rows if isinstance(rows, list) else ()


def _at(place: int, prediction: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row's error says where the row is in the whole batch."""
    if prediction.keys() == {"index", "error"}:
        return {**prediction, "index": place}
    return prediction


def row_operation(routes: Sequence[ScoringRoute], route: ScoringRoute) -> int:
    """The number of the call that scores one row of a route."""
    return 1 + 2 * routes.index(route)


def batch_operation(routes: Sequence[ScoringRoute], route: ScoringRoute) -> int:
    """The number of the call that scores a batch of a route."""
    return row_operation(routes, route) + 1


def reasons_operation(routes: Sequence[ScoringRoute], route: ScoringRoute) -> int:
    """The number of the call that scores one row and tells reasons; how many is its first byte."""
    return 1 + 2 * len(routes) + routes.index(route)


def batch_reasons_operation(routes: Sequence[ScoringRoute], route: ScoringRoute) -> int:
    """The same for a batch of a route."""
    return 1 + 3 * len(routes) + routes.index(route)


def unavailable() -> Problem:
    """The owner of an entity did not answer in time; no other worker may answer instead."""
    return Problem(
        WORKER_UNAVAILABLE,
        "the worker that owns this entity does not answer; send the row again",
        headers={"Retry-After": "2"},
    )


class EntityRouter:
    """A batcher (interface of `MicroBatcher`) that scores its own rows and forwards the others."""

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
    """An `Execution` of one route's rows: here if they are this worker's, else with their owner.

    `prefix` comes before the body on its way to the owner.
    """

    def __init__(
        self,
        inner: Execution,
        peers: Peers,
        operation: int,
        metrics: Metrics,
        prefix: bytes = b"",
    ) -> None:
        self._prefix = prefix
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
            self._prefix + body,
            is_repeatable=owner.is_named,
        )
        if answered is None:
            raise unavailable()
        return EncodedReply(answered.body, "", answered.status, answered.headers)


class ForwardedBatches:
    """An `Execution` of one route's batches: each row by its owner, one answer in their order.

    `prefix` comes before each part on its way to its owner.
    """

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
        prefix: bytes = b"",
    ) -> None:
        self._prefix = prefix
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
        # the calls to other workers first: they run in parallel with this one's part
        answers = await asyncio.gather(*(self._part(work, part, caller) for part in parts))
        status, headers, merged = merge(parts, answers)
        return EncodedReply(merged, "", status, headers)

    async def _part(self, work: RequestWork, part: OwnedRows, caller: Caller) -> PartAnswer:
        if part.owner == self._peers.number:
            # sends the calls to others before this part blocks the event loop
            await asyncio.sleep(0)
            return PartAnswer(*await outcome(self._inner, work, part.body(), caller, self._models))
        self._metrics.forwarded_rows.inc(len(part.rows))
        answered = await self._peers.ask(
            part.owner,
            self._operation,
            encoded_sender(caller),
            self._prefix + part.body(),
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


_OK = 200


class PeersJournals:
    """Implements `api.scoring.labels.OtherWorkers`; for threads, not for the event loop."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def keep(self, labels: Sequence[Label]) -> set[str] | None:
        body, kept, all_asked = orjson.dumps(labels), set[str](), True
        for number in self._peers.links:
            answered = self._peers.ask_from_thread(number, LABELS, body)
            if answered is None or answered.status != _OK:
                all_asked = False
            else:
                kept |= set(orjson.loads(answered.body))
        # each label is held by one worker: those of a silent worker are in the rest
        return kept if all_asked or len(kept) == len(labels) else None
