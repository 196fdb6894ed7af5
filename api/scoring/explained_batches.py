"""Reasons of the rows of a batch, `?reasons=N`: each as its row alone would have them.

A slice is scored where all rows are scored, and explained on a thread, one batch at a time.
"""

import asyncio
from collections.abc import Sequence

from api.http.callers import Caller
from api.http.problems import Problem
from api.scoring.endpoint import PacedRequestWork
from api.scoring.reasons import Teller, refuse_rows
from api.scoring.stages import EncodedReply, RowOutcome
from api.scoring.work import SLICE_ROWS, Batch, BatchRow, BatchWork


class ExplainedBatchWork(PacedRequestWork):
    """Scores the body of a batch, and tells reasons of every answer."""

    def __init__(self, work: BatchWork, teller: Teller, count: int, max_rows: int) -> None:
        """`work` scores for a route that was made by `noting`."""
        self._work = work
        self._teller = teller
        self._count = count
        self._max_rows = max_rows

    def __call__(self, body: bytes, caller: Caller) -> EncodedReply:
        self._teller.explanations.prepare()
        batch = self._work.batch(body, caller)
        refuse_rows(batch.left, self._max_rows)
        while batch.left:
            self._explain(batch, batch.waited(batch.score_slice(SLICE_ROWS)))
        return batch.reply()

    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        await self._teller.explanations.prepare_paced()
        async with self._work.begun(body, caller) as batch:
            refuse_rows(batch.left, self._max_rows)
            while batch.left:
                scored = await batch.committed(await self._scored(batch))
                async with self._teller.explanations.batch_turn:
                    await asyncio.to_thread(self._explain, batch, scored)
            return batch.reply()

    async def _scored(self, batch: Batch) -> list[BatchRow]:
        """The next slice and its outcomes."""
        scored: list[BatchRow] = []

        def score(most: int) -> None:
            scored.extend(batch.score_slice(most))

        await self._work.in_turn(batch, score)
        return scored

    def _explain(self, batch: Batch, outcomes: Sequence[RowOutcome]) -> None:
        batch.add([self._explained(outcome) for outcome in outcomes])

    def _explained(self, outcome: RowOutcome) -> RowOutcome:
        if isinstance(outcome, Problem):
            return outcome
        try:
            return self._teller.completed(outcome, self._count)
        except Problem as problem:
            # a duplicate may have been decided by a version that cannot explain its scores
            return problem
