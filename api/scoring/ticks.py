"""Rows of many callers, scored together: what came in while the loop was busy is one tick.

A row alone costs ten calls into other libraries; in a tick they are shared. Nobody waits for
a tick to fill: under little load it holds one row, and it grows with the load, for as long as
its rows are quick. Rows of a slow version are scored on a thread meanwhile (`api.scoring.lane`).
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import orjson

from api.http.callers import Caller
from api.http.failures import as_problem
from api.http.headers import JSON_HEADERS, problem_headers, rendered
from api.http.problems import Problem
from api.models.live import ModelHolder
from api.route_metrics import RouteMetrics
from api.scoring.lane import ScoringLane
from api.scoring.requests import RowParser
from api.scoring.row import Answered, Row
from api.scoring.scorer import Scorer
from shared.usecase.serving import ScoringRoute

# Most of what sharing saves is saved by then, and so many rows hold the loop for two milliseconds.
MAX_ROWS = 64


class Waiting(Protocol):
    """A connection that waits for an answer."""

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Send it; `headers` are whole lines, without the length."""
        ...


@dataclass(frozen=True, slots=True)
class RowWay:
    """One address whose requests are rows."""

    route: ScoringRoute
    parse: RowParser
    metrics: RouteMetrics


@dataclass(slots=True)
class _Ask:
    body: bytes
    way: RowWay
    sender: Caller
    caller: "Waiting | _Awaiting"
    started: float


@dataclass(frozen=True, slots=True)
class _Awaiting:
    """A coroutine that waits for a row's outcome, and counts its answer itself."""

    outcome: "asyncio.Future[Answered | Problem]"

    def tell(self, outcome: Answered | Problem) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Ticks:
    """Collects on the event loop, and scores at its next turn."""

    def __init__(self, scorer: Scorer, models: ModelHolder, lane: ScoringLane) -> None:
        self._scorer = scorer
        self._models = models
        self._lane = lane
        self._asks: list[_Ask] = []
        self._has_turn = False
        self._head = ("", b"")

    def add(self, body: bytes, way: RowWay, sender: Caller, caller: "Waiting | _Awaiting") -> None:
        """Take a request; its caller is answered at the loop's next turn."""
        if not self._has_turn:
            self._has_turn = True
            asyncio.get_running_loop().call_soon(self._turn)
        self._asks.append(_Ask(body, way, sender, caller, time.perf_counter()))

    async def scored(self, body: bytes, way: RowWay, sender: Caller) -> Answered:
        """What becomes of one row, scored with what else has come.

        Raises:
            Problem: of this row.
        """
        outcome: asyncio.Future[Answered | Problem] = asyncio.get_running_loop().create_future()
        self.add(body, way, sender, _Awaiting(outcome))
        found = await outcome
        if isinstance(found, Problem):
            raise found
        return found

    def flush(self) -> None:
        """Answer now whoever is next, if that is quick; the others are answered in their turn."""
        if self._asks and self._lane.is_free:
            self._score()

    def _turn(self) -> None:
        if self._lane.is_busy:
            self._lane.post(self._turn)
        elif self._asks and self._lane.is_slow:
            self._score_on_thread()
        else:
            self._score()
            self._next()

    def _next(self) -> None:
        self._has_turn = bool(self._asks)
        if self._has_turn:
            asyncio.get_running_loop().call_soon(self._turn)

    def _score(self) -> None:
        began = time.perf_counter()
        asks = self._take()
        rows = self._parsed(asks)
        score_apart(self._scorer, [row for _, row in rows])
        self._answer(rows)
        if asks:
            self._lane.took(len(asks), time.perf_counter() - began)

    def _score_on_thread(self) -> None:
        rows = self._parsed(self._take())

        def done() -> None:
            self._answer(rows)
            self._next()

        self._lane.offload(partial(score_apart, self._scorer, [row for _, row in rows]), done)

    def _take(self) -> list[_Ask]:
        count = self._lane.rows_at_once(MAX_ROWS)
        asks, self._asks = self._asks[:count], self._asks[count:]
        return asks

    def _parsed(self, asks: Sequence[_Ask]) -> list[tuple[_Ask, Row]]:
        rows: list[tuple[_Ask, Row]] = []
        for ask in asks:
            try:
                request = ask.way.parse(ask.body)
            except Problem as problem:
                self._tell(ask, problem)
            else:
                rows.append((ask, Row(request, ask.way.route, ask.sender, ask.started)))
        return rows

    def _answer(self, rows: Sequence[tuple[_Ask, Row]]) -> None:
        for ask, row in rows:
            self._tell(ask, row.outcome)

    def _tell(self, ask: _Ask, outcome: Answered | Problem) -> None:
        if isinstance(ask.caller, _Awaiting):
            ask.caller.tell(outcome)
            return
        if isinstance(outcome, Answered):
            status = 200
            ask.caller.answer(200, self._head_of(outcome.version), orjson.dumps(outcome.body))
        else:
            status = outcome.kind.status
            headers = rendered(problem_headers(outcome, self._models.version_header))
            ask.caller.answer(status, headers, outcome.render())
        ask.way.metrics.answered(status, time.perf_counter() - ask.started)

    def _head_of(self, version: str) -> bytes:
        """Nearly always that of the row before."""
        if version != self._head[0]:
            headers = rendered([*JSON_HEADERS, (b"x-model-version", version.encode())])
            self._head = (version, headers)
        return self._head[1]


def score_apart(scorer: Scorer, rows: Sequence[Row]) -> None:
    """Score rows of different callers: together, or one by one when anything goes wrong."""
    if not rows:
        return
    try:
        scorer.score(rows, apart=True)
    except Exception as error:  # noqa: BLE001 - becomes a logged 500 of one row
        if len(rows) == 1:
            rows[0].outcome = as_problem(error, rows[0].route.path)
            return
        for row in rows:
            score_apart(scorer, [row])
