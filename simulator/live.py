"""Live traffic: the world goes on through the API at its customers' own pace; labels follow.

Time is simulated: each row has its own instant, and the clock goes from row to row as fast as rows
are to be sent. So customers keep their intervals, hours, trips and phones, as in the past that the
model has learned from. Sent as of now, at two rows a second, a thousand customers would each be
ninety times as busy as ever before, and nearly every row would be flagged.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from pydantic import BaseModel

from shared.clock import MICROS_PER_SECOND, isoformat, wall_ns
from shared.contracts.feedback import FeedbackAnswer
from shared.contracts.http import Contract, ContractBroken, parse_contract
from simulator.crimes import commit
from simulator.events import Crime, EventStage, SimulatedEvents
from simulator.history import label_delays, named_rows
from simulator.spending import spend
from simulator.world import Flags, World

MOST_UNDER_WAY = 64
LABELS_PER_REQUEST = 500
ROWS_PER_BATCH = 250
SECONDS_BETWEEN_LABELS = 1.0


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A request body for /predict, and the truth that only we know yet.

    Attributes:
        time_us: when it happens, by the simulated clock.
        label_known_at_us: when the truth becomes known, by the same clock.
    """

    body: dict[str, Any]
    stolen: bool
    time_us: int
    label_known_at_us: int

    @property
    def label(self) -> dict[str, Any]:
        """The label as it is sent: never known later than now."""
        return {
            "transaction_id": self.body["transaction_id"],
            "label": int(self.stolen),
            "source": "chargeback" if self.stolen else "maturity",
            "label_known_at": isoformat(min(self.label_known_at_us, now_us())),
        }


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """The amount of traffic to send.

    Attributes:
        per_second: rows a second; rows that lie in the future wait for their instant.
        label_delay_seconds: labels are sent so long after their rows; None: when the simulated
            clock has come to where they are known.
        count: None: all rows there are.
    """

    per_second: float
    label_delay_seconds: float | None = None
    count: int | None = None


@dataclass(slots=True)
class TrafficReport:
    """The rows sent and their answers."""

    sent: int = 0
    failed: int = 0
    stolen: int = 0
    flagged: int = 0
    caught: int = 0
    labels: int = 0
    clock_us: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)

    @property
    def flagged_share(self) -> float:
        return self.flagged / self.sent if self.sent else 0.0


class PredictAnswer(BaseModel):
    """The fields read from the answer of POST /predict."""

    version: str
    is_fraud: bool
    review_required: bool


Tell = Callable[[TrafficReport], None]


def now_us() -> int:
    return wall_ns() // 1_000


def live_rows(
    world: World,
    start_us: int,
    end_us: int,
    *,
    crime_share: float = 0.01,
    amount_factor: Callable[[int], float] | float = 1.0,
    prefix: str = "c",
    keep: Callable[[SimulatedEvents], Flags] | None = None,
    dice: int | None = None,
) -> list[LiveRow]:
    """Everything that happens to the world's customers in a time, in its order.

    One stage of it all: trips, phones and the routine of thieves have lengths that do not fit into
    a few days. `amount_factor` may depend on the instant; `prefix` begins the customers' names; of
    all events those that `keep` chooses happen. The same `dice` make the same lives at any time.
    """
    rng = np.random.default_rng([world.seed, start_us if dice is None else dice])
    stage = EventStage(world, rng, start_us, end_us)
    events = commit(stage, spend(stage), crime_share)
    if keep is not None:
        events = events.take(keep(events))
    factors = np.array(
        [amount_factor(at) if callable(amount_factor) else amount_factor for at in events.time_us]
    )
    events = events.with_columns(amount=(events.amount * factors).round(2))
    stolen = events.crime != Crime.HONEST
    known_at = events.time_us + label_delays(rng, stolen)
    named = named_rows(world, events, prefix)
    times, bad = events.time_us.tolist(), stolen.tolist()
    return [
        LiveRow(_body(row), is_bad, at, known)
        for row, is_bad, at, known in zip(named, bad, times, known_at.tolist(), strict=True)
    ]


def _body(row: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in row.items() if value is not None}
    known["event_time"] = isoformat(known["event_time"])
    return {"transaction_id": f"live-{uuid4().hex}", **known}


class Traffic:
    """Sends rows at a steady pace, however long the answers take."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        plan: TrafficPlan,
        tell: Tell,
        feedback: httpx.AsyncClient | None = None,
    ) -> None:
        """`client` scores and `feedback` sends labels; None: `client` does both."""
        self._client = client
        self._feedback = client if feedback is None else feedback
        self._plan = plan
        self._tell = tell
        self._free = asyncio.Semaphore(MOST_UNDER_WAY)
        self._due: list[tuple[float, int, LiveRow]] = []
        self._numbers = count()
        self._stopped = asyncio.Event()
        self.report = TrafficReport()

    def stop(self) -> None:
        """Send nothing new; what is under way and the labels still owed are finished."""
        self._stopped.set()

    async def remember(self, rows: Iterable[LiveRow]) -> None:
        """Let the API know the past of these customers: rows in batches, and their labels."""
        waiting, until_us = iter(rows), 0
        while batch := list(islice(waiting, ROWS_PER_BATCH)):
            if self._stopped.is_set():
                return
            body = {"instances": [row.body for row in batch]}
            if await self._post(self._client, "/predict/batch", body) is None:
                continue
            until_us = batch[-1].time_us
            for row in batch:
                self._owe(row)
            await self._deliver_until(until_us / MICROS_PER_SECOND)

    async def run(self, rows: Iterable[LiveRow]) -> TrafficReport:
        """Send until the rows or the count are over, or a stop is requested; then the labels."""
        labels = asyncio.create_task(self._deliver_labels())
        async with asyncio.TaskGroup() as sending:
            await self._send_all(iter(rows), sending)
        labels.cancel()
        await asyncio.gather(labels, return_exceptions=True)
        await self._deliver_until(float("inf"))
        self._tell(self.report)
        return self.report

    async def _send_all(self, rows: Iterator[LiveRow], sending: asyncio.TaskGroup) -> None:
        begun = asyncio.get_running_loop().time()
        for number, row in enumerate(islice(rows, self._plan.count)):
            await self._wait_until(begun + number / self._plan.per_second, row.time_us)
            if self._stopped.is_set():
                return
            await self._free.acquire()
            self.report.clock_us = row.time_us
            sending.create_task(self._send(row))

    async def _wait_until(self, moment: float, happens_us: int) -> None:
        """Waits until the row is due by the pace, or until its event time if that is later."""
        seconds = moment - asyncio.get_running_loop().time()
        ahead = (happens_us - now_us()) / MICROS_PER_SECOND
        try:
            await asyncio.wait_for(self._stopped.wait(), max(0.0, seconds, ahead))
        except TimeoutError:
            return

    async def _send(self, row: LiveRow) -> None:
        try:
            raw = await self._post(self._client, "/predict", row.body)
        finally:
            self._free.release()
        answer = None if raw is None else self._read(PredictAnswer, raw, "POST /predict")
        if answer is None:
            return
        self._count(row, answer)
        self._owe(row)

    def _owe(self, row: LiveRow) -> None:
        delay = self._plan.label_delay_seconds
        due = row.label_known_at_us / MICROS_PER_SECOND
        if delay is not None:
            due = asyncio.get_running_loop().time() + delay
        heapq.heappush(self._due, (due, next(self._numbers), row))

    def _count(self, row: LiveRow, answer: PredictAnswer) -> None:
        flagged = answer.review_required or answer.is_fraud
        self.report.sent += 1
        self.report.stolen += row.stolen
        self.report.flagged += flagged
        self.report.caught += row.stolen and flagged
        self.report.versions[answer.version] += 1

    async def _deliver_labels(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LABELS)
            is_simulated = self._plan.label_delay_seconds is None
            clock = self.report.clock_us / MICROS_PER_SECOND
            await self._deliver_until(clock if is_simulated else asyncio.get_running_loop().time())
            self._tell(self.report)

    async def _deliver_until(self, moment: float) -> None:
        while self._due and self._due[0][0] <= moment:
            batch: list[dict[str, Any]] = []
            while self._due and self._due[0][0] <= moment and len(batch) < LABELS_PER_REQUEST:
                batch.append(heapq.heappop(self._due)[2].label)
            raw = await self._post(self._feedback, "/feedback", {"labels": batch})
            answer = None if raw is None else self._read(FeedbackAnswer, raw, "POST /feedback")
            if answer is not None:
                self.report.labels += len(batch)

    async def _post(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any]
    ) -> bytes | None:
        """The answer, or None when there was none to use; the report says why."""
        try:
            response = await self._sent(client, path, body)
        except httpx.HTTPError as error:
            self._fail(type(error).__name__)
            return None
        if response.is_error:
            self._fail(f"HTTP {response.status_code}")
            return None
        return response.content

    @staticmethod
    async def _sent(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
        """Sent again once where the connection broke: rows have ids, and labels are kept once."""
        try:
            return await client.post(path, json=body)
        except httpx.TransportError:
            return await client.post(path, json=body)

    def _read(self, model: type[Contract], raw: bytes, request: str) -> Contract | None:
        try:
            return parse_contract(model, raw, request)
        except ContractBroken as error:
            self._fail(str(error))
            return None

    def _fail(self, why: str) -> None:
        self.report.failed += 1
        self.report.problems[why] += 1
