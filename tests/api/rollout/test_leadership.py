"""Two schedulers, one rollout: who lost the lease does not move it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine

from scheduler.rollout.driver import DatabaseLease, LeadershipLease, RolloutDriver, RolloutRecord
from scheduler.scoring_api import HttpScoringApi, StepAnswer
from shared.clock import SystemClock
from shared.contracts.rollouts import RolloutRequest, RolloutView
from shared.errors import DataUnavailable
from shared.keys.tokens import Role
from shared.tables.engine import connect, migrate
from tests.api.bundles import Signer, graph
from tests.api.rollout.driving import last, shown, try_out, update
from tests.api.rollout.faults import TRAP, answers_nan
from tests.api.rollout.world import POLICY, Crowd
from tests.api.server import Running, wait_until

ALIKE = "1.0.0"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'understudy.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@dataclass
class SlowApi:
    """A scheduler that stands still between its decision and its request, while others go on."""

    api: HttpScoringApi
    meanwhile: Any
    answers: list[StepAnswer]

    def rollout(self) -> RolloutView | None:
        return self.api.rollout()

    def update_rollout(
        self, request: RolloutRequest, fencing_number: int | None = None
    ) -> StepAnswer:
        self.meanwhile()
        answer = self.api.update_rollout(request, fencing_number)
        self.answers.append(answer)
        return answer


@dataclass
class NoDatabase:
    """Nobody can tell who drives."""

    def take(self) -> int | None:
        raise DataUnavailable("the database is away")


def api_of(server: Running) -> HttpScoringApi:
    return HttpScoringApi(server.url, server.token(Role.PUSH), 10.0, 10.0)


def driver(folder: Path, api: Any, lease: LeadershipLease) -> RolloutDriver:
    return RolloutDriver(
        api=api,
        policy=POLICY,
        record=RolloutRecord(folder / "retrained_models"),
        lease=lease,
        clock=SystemClock(),
        log=structlog.get_logger(),
    )


def ready_for_a_step(server: Running, signer: Signer, candidate: bytes, amount: float) -> None:
    assert try_out(server, signer, "canary", candidate).status_code == 200
    crowd = Crowd()
    for _ in range(4):
        rows = crowd.rows(200, amount)
        assert server.client.post("/score/batch", json={"instances": rows}).status_code == 200


def test_who_lost_the_lease_between_decision_and_request_is_refused(
    serving: Running, signer: Signer, tmp_path: Path
) -> None:
    ready_for_a_step(serving, signer, graph(ALIKE), 1.0)
    engine, api = serving.service.database.engine, api_of(serving)
    other = DatabaseLease(engine, "other", 60)

    def somebody_takes_over() -> None:
        number = other.take()
        assert number is not None
        # What the other one does is the same share again, so only the number distinguishes them.
        assert update(serving, "advance", number, share_percent=10).status_code == 200

    slow = SlowApi(api, somebody_takes_over, [])
    driver(tmp_path, slow, DatabaseLease(engine, "slow", 0.0)).tick()
    (answer,) = slow.answers
    assert (answer.status, "fencing number" in answer.detail) == (409, True)
    assert shown(serving)["share_percent"] == 10
    api.close()


def test_a_lesser_number_is_refused_whatever_the_step_and_an_operator_needs_none(
    serving: Running, signer: Signer
) -> None:
    try_out(serving, signer, "canary")
    assert update(serving, "advance", fence=7).status_code == 200
    for action in ("advance", "promote", "abort"):
        assert update(serving, action, fence=6).json()["type"].endswith("stale-fencing-number")
    assert update(serving, "advance", fence=7).status_code == 200
    # A push is another matter: its number is that of a run, which may be older than a look.
    raw = signer.bundle("1.0.2")
    assert serving.push(raw, signer, **{"X-Fencing-Number": "5"}).status_code == 200


def test_one_scheduler_drives_and_the_other_does_not_even_look_twice(
    serving: Running, signer: Signer, tmp_path: Path
) -> None:
    ready_for_a_step(serving, signer, graph(ALIKE), 1.0)
    api, engine = api_of(serving), serving.service.database.engine
    assert DatabaseLease(engine, "first", 60).take() is not None
    driver(tmp_path, api, DatabaseLease(engine, "second", 60)).tick()
    assert shown(serving)["share_percent"] == 5
    assert not (tmp_path / "retrained_models").exists()
    driver(tmp_path, api, DatabaseLease(engine, "first", 60)).tick()
    assert shown(serving)["share_percent"] == 10
    api.close()


def test_without_a_database_nothing_is_passed_and_harm_is_still_stopped(
    serving: Running, signer: Signer, tmp_path: Path
) -> None:
    ready_for_a_step(serving, signer, answers_nan(ALIKE), 1.0)
    api = api_of(serving)
    lonely = driver(tmp_path, api, NoDatabase())
    lonely.tick()
    assert shown(serving)["share_percent"] == 5
    crowd = Crowd()
    for _ in range(5):
        rows = crowd.rows(200, TRAP)
        assert serving.client.post("/score/batch", json={"instances": rows}).status_code == 200
    lonely.tick()
    # the driver, or the API itself after ten failures in a row, whichever is first
    wait_until(lambda: last(serving) is not None)
    assert last(serving)["outcome"] == "aborted"
    api.close()


def test_numbers_grow_with_every_look_and_pass_over_to_whoever_comes_next(engine: Engine) -> None:
    first, second = DatabaseLease(engine, "first", 60), DatabaseLease(engine, "second", 60)
    one, two = first.take(), first.take()
    assert one is not None
    assert two is not None
    assert one < two
    assert second.take() is None
    assert DatabaseLease(engine, "first", 0.0).take() is not None
    three = second.take()
    assert three is not None
    assert three > two
    assert first.take() is None
