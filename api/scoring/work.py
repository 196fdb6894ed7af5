"""The work of one request: a row or a batch, from its body to its answer."""

import time

import orjson

from api.http.callers import Caller
from api.http.problems import Problem
from api.route_metrics import RouteMetrics
from api.scoring.batch import SLICE_ROWS, Batch
from api.scoring.batching import MicroBatcher, RowRoute, score_isolated
from api.scoring.endpoint import PacedRequestWork
from api.scoring.lane import ScoringLane
from api.scoring.pipeline import ScoringPipeline
from api.scoring.requests import BatchParser, RowParser
from api.scoring.stages import EncodedReply, Received
from shared.usecase.serving import ScoringRoute

# a handful of rows, which take no longer than their turn would
_FEW_BYTES = 1_024


class RowWork(PacedRequestWork):
    """Scores the body of one row; while scoring is slow, together with the rows of others."""

    def __init__(
        self,
        pipeline: ScoringPipeline,
        parse: RowParser,
        route: ScoringRoute,
        batcher: MicroBatcher,
        lane: ScoringLane,
    ) -> None:
        self._pipeline = pipeline
        self._parse = parse
        self._route = route
        self._batcher = batcher
        self._lane = lane
        # whoever awaits an answer counts it
        self._row_route = RowRoute(route, parse, RouteMetrics())

    def __call__(self, body: bytes, caller: Caller) -> EncodedReply:
        received = Received(self._parse(body), self._route, caller, time.perf_counter())
        (outcome,) = score_isolated(self._pipeline, [received])
        if isinstance(outcome, Problem):
            raise outcome
        return EncodedReply(orjson.dumps(outcome.body), outcome.version)

    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        if self._lane.is_free:
            return self(body, caller)
        answered = await self._batcher.scored(body, self._row_route, caller)
        return EncodedReply(orjson.dumps(answered.body), answered.version)


class BatchWork(PacedRequestWork):
    """Scores the body of a batch; on the event loop a slice at a turn, with others in between."""

    def __init__(
        self, pipeline: ScoringPipeline, parse: BatchParser, route: ScoringRoute, lane: ScoringLane
    ) -> None:
        self._pipeline = pipeline
        self._parse = parse
        self._route = route
        self._lane = lane

    def __call__(self, body: bytes, caller: Caller) -> EncodedReply:
        batch = self._batch(body, caller)
        while batch.left:
            batch.answer_slice(SLICE_ROWS)
        return batch.reply()

    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        lane = self._lane
        if len(body) <= _FEW_BYTES and lane.is_free:
            return self(body, caller)
        begun: list[Batch] = []

        def answer_slice() -> None:
            (batch,) = begun
            began, left = time.perf_counter(), batch.left
            batch.answer_slice(lane.rows_at_once(SLICE_ROWS))
            lane.took(left - batch.left, time.perf_counter() - began)

        async with lane.batches.of(len(body)):
            # parsing takes its turn, too: a hundred connections may send their batches at once
            await lane.run(lambda: begun.append(self._batch(body, caller)))
            while begun[0].left:
                await lane.run(answer_slice)
            return begun[0].reply()

    def _batch(self, body: bytes, caller: Caller) -> Batch:
        return Batch(self._pipeline, self._parse(body), self._route, caller)
