"""The first model is asked for at once, and then ever more patiently."""

import itertools
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.schedule.first_model import FirstModel
from scheduler.scoring_api import Serving
from shared.clock import MICROS_PER_SECOND
from shared.errors import DataUnavailable
from tests.scheduler.fakes import PocketApi, SettableClock


@dataclass
class Desk:
    api: PocketApi = field(default_factory=PocketApi)
    clock: SettableClock = field(default_factory=SettableClock)
    busy: bool = False
    database_away: bool = False
    asked: list[int] = field(default_factory=list)

    def request(self, instant_us: int) -> int:
        if self.database_away:
            raise DataUnavailable("away")
        self.asked.append(instant_us)
        return len(self.asked)

    def pass_seconds(self, first_model: FirstModel, seconds: int) -> None:
        for _ in range(seconds):
            first_model.tick()
            self.clock.move(MICROS_PER_SECOND)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def first_model(desk: Desk, log: FilteringBoundLogger) -> FirstModel:
    return FirstModel(desk.api, desk.request, lambda: desk.busy, desk.clock, log)


def test_a_first_model_is_asked_for_at_once_and_once(desk: Desk, first_model: FirstModel) -> None:
    desk.pass_seconds(first_model, 20)
    assert desk.asked == [desk.clock.now_us() - 20 * MICROS_PER_SECOND]


def test_after_a_failed_attempt_it_is_asked_for_again_with_longer_pauses(
    desk: Desk, first_model: FirstModel
) -> None:
    desk.pass_seconds(first_model, 400)
    gaps = [round((b - a) / MICROS_PER_SECOND) for a, b in itertools.pairwise(desk.asked)]
    assert gaps == [30, 60, 300]


def test_an_api_that_serves_needs_no_first_model(desk: Desk, first_model: FirstModel) -> None:
    desk.api.serving = Serving("1.0.0", None)
    desk.pass_seconds(first_model, 100)
    assert desk.asked == []


def test_an_api_that_is_not_up_yet_is_waited_for(desk: Desk, first_model: FirstModel) -> None:
    desk.api.away = True
    with capture_logs() as logs:
        desk.pass_seconds(first_model, 60)
    assert [entry["event"] for entry in logs] == ["api_awaited"]
    desk.api.away = False
    desk.pass_seconds(first_model, 16)
    assert len(desk.asked) == 1


def test_nothing_is_asked_for_while_a_run_is_in_progress(
    desk: Desk, first_model: FirstModel
) -> None:
    desk.busy = True
    desk.pass_seconds(first_model, 100)
    assert desk.asked == []


def test_a_database_that_is_away_is_asked_again(desk: Desk, first_model: FirstModel) -> None:
    desk.database_away = True
    desk.pass_seconds(first_model, 5)
    desk.database_away = False
    desk.pass_seconds(first_model, 2)
    assert len(desk.asked) == 1
