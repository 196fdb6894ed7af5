"""Live traffic: the world goes on, now, through the API; labels follow later."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from pydantic import BaseModel

from shared.clock import MICROS_PER_DAY
from shared.contracts.feedback import FeedbackAnswer, FeedbackRequest, LabelIn
from shared.contracts.reading import Contract, ContractBroken, parse_contract
from simulator.crimes import commit
from simulator.events import Crime, EventStage
from simulator.history import named_rows
from simulator.spending import spend
from simulator.world import World

DAYS_AT_ONCE = 3
MOST_UNDER_WAY = 64
LABELS_PER_REQUEST = 500
SECONDS_BETWEEN_LABELS = 1.0


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A request body for /predict, and the truth that only we know yet."""

    body: dict[str, Any]
    stolen: bool


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """The amount of traffic to send; without a count it continues until it is stopped."""

    per_second: float
    label_delay_seconds: float
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
    versions: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)


class Scored(BaseModel):
    """The fields read from the answer of POST /predict."""

    version: str
    is_fraud: bool
    review_required: bool


Tell = Callable[[TrafficReport], None]


def live_rows(
    world: World, start_us: int, crime_share: float = 0.01, amount_factor: float = 1.0
) -> Iterator[LiveRow]:
    """Endless transactions of the world's customers, without instants: they happen now."""
    rng = np.random.default_rng([world.seed, start_us])
    while True:
        stage = EventStage(world, rng, start_us, start_us + DAYS_AT_ONCE * MICROS_PER_DAY)
        events = commit(stage, spend(stage), crime_share)
        events = events.with_columns(amount=(events.amount * amount_factor).round(2))
        stolen = (events.crime != Crime.HONEST).tolist()
        for row, bad in zip(named_rows(world, events), stolen, strict=True):
            known = {name: value for name, value in row.items() if value is not None}
            del known["event_time"]
            yield LiveRow({"transaction_id": f"live-{uuid4().hex}", **known}, bad)
        start_us = stage.end_us


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
        self._due: deque[tuple[float, LabelIn]] = deque()
        self._stopped = asyncio.Event()
        self.report = TrafficReport()

    def stop(self) -> None:
        """Send nothing new; what is under way and the labels still owed are finished."""
        self._stopped.set()

    async def run(self, rows: Iterator[LiveRow]) -> TrafficReport:
        """Send until the count is reached or a stop is requested; then deliver all labels."""
        labels = asyncio.create_task(self._deliver_labels())
        async with asyncio.TaskGroup() as sending:
            await self._send_all(rows, sending)
        labels.cancel()
        await asyncio.gather(labels, return_exceptions=True)
        await self._deliver_until(float("inf"))
        self._tell(self.report)
        return self.report

    async def _send_all(self, rows: Iterator[LiveRow], sending: asyncio.TaskGroup) -> None:
        begun = asyncio.get_running_loop().time()
        for number, row in enumerate(islice(rows, self._plan.count)):
            await self._wait_until(begun + number / self._plan.per_second)
            if self._stopped.is_set():
                return
            await self._free.acquire()
            sending.create_task(self._send(row))

    async def _wait_until(self, moment: float) -> None:
        seconds = moment - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self._stopped.wait(), max(0.0, seconds))
        except TimeoutError:
            return

    async def _send(self, row: LiveRow) -> None:
        raw = await self._post(self._client, "/predict", row.body)
        self._free.release()
        answer = None if raw is None else self._read(Scored, raw, "POST /predict")
        if answer is None:
            return
        self._count(row, answer)
        due = asyncio.get_running_loop().time() + self._plan.label_delay_seconds
        source = "chargeback" if row.stolen else "maturity"
        transaction_id = str(row.body["transaction_id"])
        label = LabelIn(transaction_id=transaction_id, label=1 if row.stolen else 0, source=source)
        self._due.append((due, label))

    def _count(self, row: LiveRow, answer: Scored) -> None:
        flagged = answer.review_required or answer.is_fraud
        self.report.sent += 1
        self.report.stolen += row.stolen
        self.report.flagged += flagged
        self.report.caught += row.stolen and flagged
        self.report.versions[answer.version] += 1

    async def _deliver_labels(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LABELS)
            await self._deliver_until(asyncio.get_running_loop().time())
            self._tell(self.report)

    async def _deliver_until(self, moment: float) -> None:
        while self._due and self._due[0][0] <= moment:
            batch: list[LabelIn] = []
            while self._due and self._due[0][0] <= moment and len(batch) < LABELS_PER_REQUEST:
                batch.append(self._due.popleft()[1])
            body = FeedbackRequest(labels=batch).model_dump(mode="json", exclude_none=True)
            raw = await self._post(self._feedback, "/feedback", body)
            answer = None if raw is None else self._read(FeedbackAnswer, raw, "POST /feedback")
            if answer is not None:
                self.report.labels += len(batch)

    async def _post(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any]
    ) -> bytes | None:
        """The answer, or None when there was none to use; the report says why."""
        try:
            response = await client.post(path, json=body)
        except httpx.HTTPError as error:
            self._fail(type(error).__name__)
            return None
        if response.is_error:
            self._fail(f"HTTP {response.status_code}")
            return None
        return response.content

    def _read(self, model: type[Contract], raw: bytes, request: str) -> Contract | None:
        try:
            return parse_contract(model, raw, request)
        except ContractBroken as error:
            self._fail(str(error))
            return None

    def _fail(self, why: str) -> None:
        self.report.failed += 1
        self.report.problems[why] += 1
