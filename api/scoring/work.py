"""The work of one request: a row or a batch, from its body to its answer.

A batch is scored a slice at a time; a row that cannot be scored gets its own error.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from api.http.callers import Caller
from api.http.errors import as_problem
from api.http.problems import JOURNAL_FULL, NO_MODEL, Problem
from api.models.model_slot import LiveModel
from api.row_metrics import RouteMetrics
from api.scoring.batching import MicroBatcher, RowRoute, score_isolated
from api.scoring.committed import ReplyHolder
from api.scoring.endpoint import PacedRequestWork
from api.scoring.lane import ScoringLane
from api.scoring.model_router import Isolation
from api.scoring.pipeline import ScoringPipeline
from api.scoring.requests import BatchParser, Instances, RowParser
from api.scoring.stages import EncodedReply, Received, Reply, RowOutcome
from shared.usecase.serving import ScoringRoute

SLICE_ROWS = 64
# Problems of one slice that apply to all later slices as well.
_FINAL = (JOURNAL_FULL, NO_MODEL)

# A few rows, scored at once: passing them to another thread would take longer.
_FEW_BYTES = 1_024


class BatchRow(NamedTuple):
    """A row of a batch and its outcome, which may wait for a commit; None: it could not be read."""

    received: Received | None
    outcome: RowOutcome


class Batch:
    """Answers every row, by a prediction or by its problem, as if they had come one by one.

    Each slice is decided and recorded as a whole, so a slice that fails does not affect those
    before it: each of its rows gets the problem. One version scores all slices, unless a fallback
    has to replace it.
    """

    def __init__(
        self,
        pipeline: ScoringPipeline,
        instances: Instances,
        route: ScoringRoute,
        caller: Caller,
        *,
        holder: ReplyHolder | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._holder = holder
        self._held: list[Sequence[BatchRow]] = []
        self._instances = instances
        self._route = route
        self._caller = caller
        self._started = time.perf_counter()
        self._model: LiveModel | None = None
        self._count = 0
        self._answers: list[bytes] = []
        self._first_problem: Problem | None = None
        self._end: Problem | None = None

    @property
    def left(self) -> int:
        """Rows that are not answered yet."""
        return len(self._instances)

    def answer_slice(self, most: int) -> None:
        """Score the next rows, at most this many, and put them into the reply."""
        rows = self.score_slice(most)
        if self._holder is None:
            self.add([row.outcome for row in rows])
        else:
            self._held.append(rows)

    async def finish(self) -> None:
        """Wait until every answer may leave."""
        for rows in self._held:
            self.add(await self.committed(rows))
        self._held.clear()

    def wait(self) -> None:
        """The same for a thread of its own."""
        for rows in self._held:
            self.add(self.waited(rows))
        self._held.clear()

    async def committed(self, rows: Sequence[BatchRow]) -> list[RowOutcome]:
        """The outcomes of these rows, when they may leave."""
        if self._holder is None:
            return [row.outcome for row in rows]
        deadline = self._holder.deadline()
        return [
            outcome
            if received is None
            else await self._holder.committed(received, outcome, deadline)
            for received, outcome in rows
        ]

    def waited(self, rows: Sequence[BatchRow]) -> list[RowOutcome]:
        """The same for a thread of its own."""
        if self._holder is None:
            return [row.outcome for row in rows]
        deadline = self._holder.deadline()
        return [
            outcome if received is None else self._holder.wait(received, outcome, deadline)
            for received, outcome in rows
        ]

    def score_slice(self, most: int) -> list[BatchRow]:
        """Score the next rows, at most this many; `add` puts them into the reply."""
        instances = self._instances.take(most)
        received = [
            Received(instance, self._route, self._caller, self._started)
            for instance in instances
            if not isinstance(instance, ValidationError)
        ]
        problem = self._instances.problem
        scored = zip(received, self._outcomes(received), strict=True)
        return [
            BatchRow(None, problem(instance))
            if isinstance(instance, ValidationError)
            else BatchRow(*next(scored))
            for instance in instances
        ]

    def add(self, outcomes: Sequence[RowOutcome]) -> None:
        """Put the outcomes of a slice into the reply; slices come in their order."""
        shown = [_shown(self._count + at, outcome) for at, outcome in enumerate(outcomes)]
        self._count += len(outcomes)
        self._answers.append(orjson.dumps(shown)[1:-1])

    def reply(self) -> EncodedReply:
        """The answer to the whole.

        Raises:
            Problem: no slice was decided, for this reason.
        """
        if self._model is None:
            raise self._first_problem or ValueError("a batch without a slice")
        version = self._model.version
        end = b'],"version":%s}' % orjson.dumps(version)
        return EncodedReply(b'{"predictions":[' + b",".join(self._answers) + end, version)

    def _outcomes(self, received: Sequence[Received]) -> Sequence[RowOutcome]:
        """Outcomes of one slice; if the slice fails as a whole, each row gets that problem."""
        if self._end is not None:
            return [self._end] * len(received)
        try:
            result = self._pipeline.run(
                received, isolation=Isolation.WHOLE_BATCH, model=self._model
            )
        except Exception as error:  # noqa: BLE001 - earlier slices stand whatever happens to this
            known = self._pipeline.names_of(received[0]) if received else {}
            path = self._route.batch_path or self._route.path
            problem = as_problem(error, path, **known)
        else:
            self._model = result.model
            return result.outcomes
        if problem.kind in _FINAL:
            self._end = problem
        self._first_problem = self._first_problem or problem
        return [problem] * len(received)


def _shown(index: int, outcome: RowOutcome) -> dict[str, Any]:
    if isinstance(outcome, Reply):
        return outcome.body
    return {"index": index, "error": outcome.body()}


class RowWork(PacedRequestWork):
    """Scores the body of one row; while scoring is slow, together with the rows of others."""

    def __init__(
        self,
        pipeline: ScoringPipeline,
        parse: RowParser,
        route: ScoringRoute,
        batcher: MicroBatcher,
        lane: ScoringLane,
        *,
        holder: ReplyHolder | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._holder = holder
        self._parse = parse
        self._route = route
        self._batcher = batcher
        self._lane = lane
        # unused metrics: the endpoint that awaits the response counts it
        self._row_route = RowRoute(route, parse, RouteMetrics())

    def __call__(self, body: bytes, caller: Caller) -> EncodedReply:
        return _encoded(self.scored(body, caller))

    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        return _encoded(await self.scored_in_turn(body, caller))

    def scored(self, body: bytes, caller: Caller) -> Reply:
        """The reply to a row, now.

        Raises:
            Problem: of this row.
        """
        received, outcome = self._scored(body, caller)
        if self._holder is not None:
            outcome = self._holder.wait(received, outcome)
        return _reply_in(outcome)

    def _scored(self, body: bytes, caller: Caller) -> tuple[Received, RowOutcome]:
        received = Received(self._parse(body), self._route, caller, time.perf_counter())
        (outcome,) = score_isolated(self._pipeline, [received])
        return received, outcome

    async def scored_in_turn(self, body: bytes, caller: Caller) -> Reply:
        """The same, together with other rows where scoring is slow."""
        if self._lane.is_free:
            received, outcome = self._scored(body, caller)
            if self._holder is not None:
                outcome = await self._holder.committed(received, outcome)
            return _reply_in(outcome)
        return await self._batcher.scored(body, self._row_route, caller)


def _reply_in(outcome: RowOutcome) -> Reply:
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def _encoded(reply: Reply) -> EncodedReply:
    return EncodedReply(orjson.dumps(reply.body), reply.version)


class BatchWork(PacedRequestWork):
    """Scores the body of a batch; on the event loop a slice at a turn, with others in between."""

    def __init__(
        self,
        pipeline: ScoringPipeline,
        parse: BatchParser,
        route: ScoringRoute,
        lane: ScoringLane,
        *,
        holder: ReplyHolder | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._holder = holder
        self._parse = parse
        self._route = route
        self._lane = lane

    def __call__(self, body: bytes, caller: Caller) -> EncodedReply:
        batch = self._scored(body, caller)
        batch.wait()
        return batch.reply()

    def _scored(self, body: bytes, caller: Caller) -> Batch:
        batch = self.batch(body, caller)
        while batch.left:
            batch.answer_slice(SLICE_ROWS)
        return batch

    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        if len(body) <= _FEW_BYTES and self._lane.is_free:
            batch = self._scored(body, caller)
            await batch.finish()
            return batch.reply()
        async with self.begun(body, caller) as batch:
            while batch.left:
                await self.in_turn(batch, batch.answer_slice)
            await batch.finish()
            return batch.reply()

    @asynccontextmanager
    async def begun(self, body: bytes, caller: Caller) -> AsyncIterator[Batch]:
        """A batch, as soon as there is room for it."""
        parsed: list[Batch] = []
        async with self._lane.batches.of(len(body)):
            # parsing is queued as well: a hundred connections may send batches at once
            await self._lane.run(lambda: parsed.append(self.batch(body, caller)))
            yield parsed[0]

    async def in_turn(self, batch: Batch, score: Callable[[int], None]) -> None:
        """Score as many of its next rows as others can wait for."""
        lane = self._lane

        def piece() -> None:
            began, left = time.perf_counter(), batch.left
            score(lane.rows_at_once(SLICE_ROWS))
            lane.took(left - batch.left, time.perf_counter() - began)

        await lane.run(piece)

    def batch(self, body: bytes, caller: Caller) -> Batch:
        """The rows of a body, none of them scored."""
        instances = self._parse(body)
        return Batch(self._pipeline, instances, self._route, caller, holder=self._holder)
