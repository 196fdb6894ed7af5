"""Live traffic keeps its pace, tells the truth later, and survives an API that does not answer."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest

import usecases
from shared.clock import MICROS_PER_DAY, isoformat, to_micros
from simulator.history import SimulatedPast
from simulator.live import LiveRow, Traffic, TrafficPlan, TrafficReport, live_rows, now_us
from simulator.world import World


class StandInApi:
    """Answers like the API: flags what costs more than a hundred."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.scored: dict[str, float] = {}
        self.labels: dict[str, int] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if self.status != 200:
            return httpx.Response(self.status, json={"title": "no model yet"})
        if request.url.path == "/feedback":
            told = {item["transaction_id"]: item["label"] for item in body["labels"]}
            assert told.keys() <= self.scored.keys()
            self.labels.update(told)
            return httpx.Response(200, json={"stored": len(told), "queued": 0, "unknown": []})
        self.scored[body["transaction_id"]] = body["amount"]
        flagged = body["amount"] > 100
        answer = {"is_fraud": False, "review_required": flagged, "version": "1.0.0"}
        return httpx.Response(200, json=answer)


class BreakingApi(StandInApi):
    """Answers like the API, but every other connection breaks before the answer is read."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = await super().__call__(request)
        self._requests += 1
        if self._requests % 2:
            raise httpx.ReadError("reset by the peer")
        return answer


def rows_of(world: World, past: SimulatedPast, **changes: Any) -> list[LiveRow]:
    """A month before the world's present."""
    return live_rows(world, past.now_us - 30 * MICROS_PER_DAY, past.now_us, **changes)


def _send(
    api: StandInApi, world: World, past: SimulatedPast, plan: TrafficPlan
) -> tuple[TrafficReport, list[TrafficReport]]:
    told: list[TrafficReport] = []

    async def run() -> TrafficReport:
        transport = httpx.MockTransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await Traffic(client, plan, told.append).run(rows_of(world, past))

    return asyncio.run(run()), told


def test_every_row_is_scored_once_and_its_label_follows(world: World, past: SimulatedPast) -> None:
    api = StandInApi()
    plan = TrafficPlan(per_second=1_000, label_delay_seconds=0.01, count=80)
    report, told = _send(api, world, past, plan)
    assert (report.sent, report.failed, report.labels) == (80, 0, 80)
    assert api.labels.keys() == api.scored.keys()
    assert sum(api.labels.values()) == report.stolen
    assert report.flagged == sum(amount > 100 for amount in api.scored.values())
    assert report.versions == {"1.0.0": 80}
    assert told[-1] is report


def test_labels_that_are_still_owed_are_delivered_at_the_end(
    world: World, past: SimulatedPast
) -> None:
    api = StandInApi()
    plan = TrafficPlan(per_second=1_000, label_delay_seconds=3_600, count=20)
    report, _ = _send(api, world, past, plan)
    assert report.labels == 20


def test_failures_are_counted_by_reason_and_do_not_stop_the_traffic(
    world: World, past: SimulatedPast
) -> None:
    plan = TrafficPlan(per_second=1_000, label_delay_seconds=0, count=20)
    report, _ = _send(StandInApi(status=503), world, past, plan)
    assert (report.sent, report.failed, report.labels) == (0, 20, 0)
    assert report.problems == {"HTTP 503": 20}


def test_what_a_broken_connection_lost_is_sent_again_once(
    world: World, past: SimulatedPast
) -> None:
    api = BreakingApi()
    plan = TrafficPlan(per_second=20, label_delay_seconds=3_600, count=10)
    report, _ = _send(api, world, past, plan)
    assert report.sent + report.failed == 10
    assert report.sent >= 5
    assert len(api.scored) == 10


def test_traffic_that_is_stopped_ends(world: World, past: SimulatedPast) -> None:
    rows = rows_of(world, past)

    async def run() -> TrafficReport:
        transport = httpx.MockTransport(StandInApi())
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            plan = TrafficPlan(per_second=0.01, label_delay_seconds=0)
            traffic = Traffic(client, plan, lambda _report: None)
            asyncio.get_running_loop().call_later(0.05, traffic.stop)
            return await traffic.run(rows)

    assert asyncio.run(run()).sent == 1


def test_live_rows_have_their_own_instants_and_hold_only_what_is_known(
    world: World, past: SimulatedPast
) -> None:
    rows = rows_of(world, past, crime_share=0.2)
    times = [row.time_us for row in rows]
    assert times == sorted(times)
    assert all(row.body["event_time"] == isoformat(row.time_us) for row in rows)
    assert all(row.label_known_at_us > row.time_us for row in rows)
    assert all(value is not None for row in rows for value in row.body.values())
    assert len({row.body["transaction_id"] for row in rows}) == len(rows)
    assert 0.1 < sum(row.stolen for row in rows) / len(rows) < 0.3


def test_customers_keep_their_own_pace_whatever_the_rate(world: World, past: SimulatedPast) -> None:
    """Rows a customer and day are those of the world's past."""
    rows = rows_of(world, past)
    customers = len({row.body["user_id"] for row in rows})
    before = past.events.time_us
    days = (before.max() - before.min()) / MICROS_PER_DAY
    usual = len(before) / days / len(set(past.events.customer.tolist()))
    assert len(rows) / 30 / customers == pytest.approx(usual, rel=0.15)


def test_labels_wait_for_the_simulated_clock_and_are_never_known_later_than_now(
    world: World, past: SimulatedPast
) -> None:
    api = StandInApi()
    rows = rows_of(world, past)
    row = replace(rows[0], label_known_at_us=2**60)
    known_at = datetime.fromisoformat(row.label["label_known_at"])
    assert to_micros(known_at) <= now_us()
    report, _ = _send(api, world, past, TrafficPlan(per_second=1_000, count=50))
    assert report.labels == 50
    assert report.clock_us == rows[49].time_us


def test_every_live_row_is_a_request_that_the_use_case_accepts(
    world: World, past: SimulatedPast
) -> None:
    request = usecases.load_serving(usecases.DEFAULT).request_model
    for row in rows_of(world, past, crime_share=0.2)[:500]:
        request.model_validate(row.body)


def test_drift_makes_everything_dearer_from_its_instant_on(
    world: World, past: SimulatedPast
) -> None:
    since = past.now_us - 15 * MICROS_PER_DAY
    usual = rows_of(world, past)
    dear = rows_of(world, past, amount_factor=lambda at: 3.0 if at >= since else 1.0)
    for before, after in zip(usual, dear, strict=True):
        factor = 3.0 if after.time_us >= since else 1.0
        assert after.body["amount"] == pytest.approx(factor * before.body["amount"], abs=0.011)
