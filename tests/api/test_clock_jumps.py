"""The clock jumps while rows are scored: events keep their time, ingestion its order."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from api.scoring.user_locks import MonotonicClock
from api.settings import Settings
from api.wiring import build_service
from shared.clock import MachineClock
from tests.api.server import Running
from tests.api.tiny import TinyUseCase, stored_rows
from tests.support.clocks import StoppedClock

SECOND = 1_000_000
HOUR = 3_600 * SECOND
NOW = 1_767_225_600 * SECOND


@dataclass
class Machine:
    """A wall clock that can be set, in microseconds; elapsed time only goes on."""

    wall_us: int = NOW
    elapsed_us: int = 0

    def clock(self) -> MachineClock:
        return MachineClock(lambda: self.wall_us * 1_000, lambda: self.elapsed_us * 1_000)

    def wait(self, micros: int) -> None:
        self.wall_us += micros
        self.elapsed_us += micros


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def server(settings: Settings, machine: Machine) -> Iterator[Running]:
    service = build_service(settings, TinyUseCase(), machine.clock())
    with Running(settings, service=service) as server:
        yield server


def times(server: Running) -> tuple[list[int], list[int]]:
    """Event times and ingestion stamps as stored, in the order of scoring."""
    server.service.journaling.drain.stop()
    rows = sorted(
        stored_rows(server.service.database.engine), key=lambda row: int(row["transaction_id"])
    )
    return [row["event_time"] for row in rows], [row["ingested_at"] for row in rows]


def score(server: Running, number: int) -> None:
    assert server.score(amount=1.0, transaction_id=str(number)).status_code == 200


def clock_health(server: Running) -> dict[str, object]:
    return dict(server.client.get("/api/health").json()["components"]["clock"])


def test_two_hours_ahead_for_a_moment_leave_no_row_in_the_future(
    server: Running, machine: Machine
) -> None:
    score(server, 0)
    machine.wall_us += 2 * HOUR
    machine.wait(SECOND // 5)
    score(server, 1)
    assert clock_health(server)["state"] == "degraded"
    assert "jumped by +7,200" in str(clock_health(server)["detail"])
    machine.wall_us -= 2 * HOUR
    machine.wait(SECOND)
    score(server, 2)
    assert clock_health(server)["state"] == "ok"
    text = server.client.get("/metrics").text
    assert "understudy_clock_spikes_total 1.0" in text
    events, stamps = times(server)
    assert events == stamps == sorted(stamps)
    assert stamps[-1] < NOW + 2 * SECOND


def test_a_clock_that_stayed_ahead_and_was_set_back_gives_events_the_time_and_stamps_the_order(
    server: Running, machine: Machine
) -> None:
    def set_clock(by: int) -> None:
        machine.wall_us += by
        for _ in range(40):
            machine.wait(SECOND)
            server.service.machine_clock.look()

    score(server, 0)
    set_clock(2 * HOUR)
    score(server, 1)
    set_clock(-2 * HOUR)
    score(server, 2)
    score(server, 3)
    told = clock_health(server)
    assert told["state"] == "degraded"
    assert "ingestion stamps are 7,1" in str(told["detail"])
    text = server.client.get("/metrics").text
    assert 'understudy_clock_jumps_total{direction="forward"} 1.0' in text
    assert 'understudy_clock_jumps_total{direction="back"} 1.0' in text
    events, stamps = times(server)
    assert [event // HOUR for event in events] == [
        instant // HOUR for instant in (NOW, NOW + 2 * HOUR, NOW, NOW)
    ]
    assert stamps == sorted(set(stamps))


def test_stamps_are_a_strict_order_whatever_the_clock_does() -> None:
    inner = StoppedClock()
    clock = MonotonicClock(inner)
    stamps, present = [], []
    for inner.now in (NOW, NOW, NOW + HOUR, NOW, NOW - HOUR, NOW + 1, NOW + 2 * HOUR):
        [(now_us, stamp_us)] = clock.ingestions(1)
        present.append(now_us)
        stamps.append(stamp_us)
    assert stamps == sorted(set(stamps))
    assert [round((one - NOW) / HOUR) for one in present] == [0, 0, 1, 0, -1, 0, 2]
    assert clock.ahead_us() <= 1
