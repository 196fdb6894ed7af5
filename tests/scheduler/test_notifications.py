"""People hear of what was recorded, once an event, whatever their receiver does meanwhile."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr
from sqlalchemy import Engine, select

from scheduler.metrics import NotificationFigures
from scheduler.notable_events import Events, slack_text
from scheduler.notifier import NotDelivered, NotificationWebhook, Notifier
from scheduler.scoring_api import ApiUnavailable
from scheduler.settings import SchedulerSettings
from shared.clock import MICROS_PER_SECOND, SystemClock, isoformat
from shared.contracts.people import AuditEntry, AuditTrailView
from shared.tables.approvals import WantedApproval, hold
from shared.tables.notifications import Event
from shared.tables.runs import RunStatus, claim_next, finish, request_run
from shared.tables.schema import notifications as table
from tests.scheduler.fakes import SettableClock
from tests.support.webhook_receivers import Receiver, receiving

HOUR_US = 3_600 * MICROS_PER_SECOND
SECRETS = ("s3cret", "k3y")


@dataclass
class Trail:
    """The API's audit trail in memory."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    is_away: bool = False

    def add(self, what: str, **members: Any) -> None:
        at = isoformat(SystemClock().now_us())
        self.lines.append(
            {"at": at, "what": what, "who": "operator/anna", "why": "a test", **members}
        )

    def audit(self, limit: int) -> AuditTrailView:
        if self.is_away:
            raise ApiUnavailable("connection refused")
        known = {"at", "what", "who", "why", "version"}
        entries = [
            AuditEntry(
                number=number,
                **{name: line.get(name) for name in known},
                details={name: value for name, value in line.items() if name not in known},
                is_readable=True,
                follows=True,
            )
            for number, line in enumerate(self.lines, 1)
        ]
        return AuditTrailView(
            entries=entries[::-1][:limit],
            lines=len(entries),
            is_whole=True,
            broken=[],
            next_before=None,
        )


class OwnLease:
    def take(self) -> int | None:
        return 1


class NoLease:
    def take(self) -> int | None:
        return None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
def notifier(engine: Engine, receiver: Receiver, trail: Trail) -> Notifier:
    clock = SettableClock(SystemClock().now_us() - MICROS_PER_SECOND)
    made = Notifier(
        engine=engine,
        events=Events(engine, trail, "fraud"),
        webhook=NotificationWebhook(SecretStr(receiver.url), 1.0),
        lease=OwnLease(),
        clock=clock,
        log=structlog.get_logger(),
        chosen=frozenset(Event),
        give_up_seconds=3_600.0,
    )
    made.tick()
    clock.move(2 * MICROS_PER_SECOND)
    return made


def ended(
    engine: Engine, status: RunStatus, message: str = "why", job: str = "retraining", **more: Any
) -> int:
    run_id = request_run(engine, job, SystemClock().now_us(), "test")
    claim_next(engine)
    finish(engine, run_id, status, "code", message, **more)
    return run_id


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(table).where(table.c.source != "began")))


def test_each_event_is_delivered_once_with_what_happened(
    notifier: Notifier, engine: Engine, receiver: Receiver, trail: Trail
) -> None:
    ended(engine, RunStatus.SUCCEEDED, model_version="1.0.1", champion_version="1.0.0")
    ended(engine, RunStatus.REFUSED, model_version="1.0.2")
    ended(engine, RunStatus.FAILED)
    ended(engine, RunStatus.SUCCEEDED, "amounts moved", "drift", metrics={"alarm": True})
    ended(engine, RunStatus.SUCCEEDED, "no drift", "drift", metrics={"alarm": False})
    ended(engine, RunStatus.SKIPPED)
    trail.add("promotion", version="1.0.1")  # the run told it already
    trail.add("promotion", version="2.0.0")  # pushed by hand
    trail.add("breaker", version="1.0.0", previous="1.0.1")
    trail.add("rollout-ended", version="1.0.3", outcome="aborted")
    trail.add("rollout-ended", version="1.0.4", outcome="promoted")
    for _ in range(3):
        notifier.tick()
    told = [(body["event"], body["text"]) for body in receiver.bodies]
    assert told == [
        ("promoted", "fraud: version 1.0.1 was promoted: why"),
        ("refused", "fraud: candidate 1.0.2 was refused: why"),
        ("failed", "fraud: the retraining run 3 failed: why"),
        ("drift", "fraud: the data has drifted: amounts moved"),
        ("promoted", "fraud: version 2.0.0 was promoted, by operator/anna: a test"),
        (
            "rolled_back",
            "fraud: version 1.0.1 was rolled back by the circuit breaker; 1.0.0 serves, by "
            "operator/anna: a test",
        ),
        (
            "rolled_back",
            "fraud: the trial of version 1.0.3 was ended, by operator/anna: a test",
        ),
    ]
    assert receiver.bodies[0]["champion"] == "1.0.0"
    assert len({body["id"] for body in receiver.bodies}) == len(receiver.bodies)


def test_a_candidate_that_waits_is_told_with_the_command(
    notifier: Notifier, engine: Engine, receiver: Receiver
) -> None:
    run_id = request_run(engine, "retraining", 1, "test")
    run = claim_next(engine)
    assert run is not None
    wanted = WantedApproval("1.0.1", "a" * 64, None, 3_600.0)
    hold(engine, run_id, run.fencing_number or 0, wanted, {"statusmessage": "it waits"})
    notifier.tick()
    [body] = receiver.bodies
    assert (body["event"], body["run_id"]) == ("approval_wanted", run_id)
    assert "understudy approve 1.0.1" in body["text"]


def test_what_happened_before_notifications_were_switched_on_is_not_told(
    engine: Engine, receiver: Receiver, notifier: Notifier
) -> None:
    # the fixture has begun a moment ago; a run of before
    ended(engine, RunStatus.SUCCEEDED, model_version="1.0.0")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE modeltrainingruns SET finishedat = '2020-01-01T00:00:00.000000Z'"
        )
    notifier.tick()
    assert receiver.bodies == []


@pytest.mark.parametrize("mode", ["hang", "drip", "die", "500", "404", "redirect"])
def test_a_receiver_that_fails_is_tried_again_later_and_costs_a_bounded_time(
    notifier: Notifier, engine: Engine, receiver: Receiver, mode: str
) -> None:
    receiver.mode = mode
    ended(engine, RunStatus.FAILED)
    began = time.monotonic()
    notifier.tick()
    assert time.monotonic() - began < 15  # one limit of a second for all of it, on a busy machine
    [row] = rows(engine)
    assert (row.state, row.attempts) == ("waiting", 1)
    assert not any(secret in row.problem for secret in SECRETS)
    notifier.tick()
    assert receiver.attempts == 1  # not before its pause is over
    receiver.mode = "ok"
    notifier.clock.move(11 * MICROS_PER_SECOND)  # type: ignore[attr-defined]
    notifier.tick()
    assert [body["event"] for body in receiver.bodies] == ["failed"]
    assert rows(engine)[0].state == "sent"


def test_a_receiver_that_hangs_is_asked_once_a_tick_and_pauses_grow(
    notifier: Notifier, engine: Engine, receiver: Receiver
) -> None:
    receiver.mode = "hang"
    for _ in range(3):
        ended(engine, RunStatus.FAILED)
    notifier.tick()
    assert [row.attempts for row in rows(engine)] == [1, 0, 0]
    receiver.mode = "500"
    for _ in range(3):
        notifier.clock.move(HOUR_US // 100)  # type: ignore[attr-defined]
        notifier.tick()
    # after 10, then 20, then 40 seconds: 36 s apart, the last look comes too early
    assert rows(engine)[0].attempts == 3


def test_what_cannot_be_delivered_for_long_is_given_up_and_counted(
    notifier: Notifier, engine: Engine, receiver: Receiver
) -> None:
    receiver.mode = "410"
    ended(engine, RunStatus.FAILED)
    notifier.tick()
    notifier.clock.move(2 * HOUR_US)  # type: ignore[attr-defined]
    notifier.tick()
    assert rows(engine)[0].state == "given_up"
    registry = CollectorRegistry()
    registry.register(NotificationFigures(engine))
    figures = generate_latest(registry).decode()
    assert 'understudy_notifications_total{event="failed",outcome="given_up"} 1.0' in figures
    assert 'understudy_notifications_total{event="promoted",outcome="sent"} 0.0' in figures
    assert "understudy_notifications_waiting 0.0" in figures


def test_a_trail_that_is_away_delays_no_other_event(
    notifier: Notifier, engine: Engine, receiver: Receiver, trail: Trail
) -> None:
    trail.is_away = True
    ended(engine, RunStatus.FAILED)
    notifier.tick()
    assert [body["event"] for body in receiver.bodies] == ["failed"]
    trail.is_away = False
    trail.add("rollback", version="1.0.0", previous="1.0.1")
    notifier.tick()
    assert [body["event"] for body in receiver.bodies] == ["failed", "rolled_back"]


def test_only_chosen_events_are_told_and_only_by_one_scheduler(
    notifier: Notifier, engine: Engine, receiver: Receiver
) -> None:
    ended(engine, RunStatus.FAILED)
    ended(engine, RunStatus.REFUSED, model_version="1.0.2")
    replace_(notifier, lease=NoLease()).tick()
    assert receiver.bodies == []
    replace_(notifier, chosen=frozenset({Event.REFUSED})).tick()
    assert [body["event"] for body in receiver.bodies] == ["refused"]


def replace_(notifier: Notifier, **changes: Any) -> Notifier:
    names = ("engine", "events", "webhook", "lease", "clock", "log", "chosen", "give_up_seconds")
    return Notifier(**{name: getattr(notifier, name) for name in names} | changes)


def test_no_text_is_a_mention_or_a_link_in_slack(
    notifier: Notifier, engine: Engine, receiver: Receiver
) -> None:
    ended(engine, RunStatus.FAILED, "<!channel> see <https://evil.example|here> & pay")
    notifier.tick()
    text = receiver.bodies[0]["text"]
    assert "<" not in text
    assert "&lt;!channel&gt;" in text
    assert slack_text("a & b") == "a &amp; b"


def test_an_address_that_does_not_answer_is_never_repeated() -> None:
    for url in ("http://127.0.0.1:1/s3cret?sig=k3y", "http://no-such-host.invalid/s3cret?sig=k3y"):
        with pytest.raises(NotDelivered) as caught:
            NotificationWebhook(SecretStr(url), 5.0).deliver({"text": "a test"})
        assert not any(secret in str(caught.value) for secret in SECRETS)


def test_the_setting_is_masked_and_checked() -> None:
    settings = SchedulerSettings.model_validate(
        {"notify_url": "https://hooks.example/s3cret?sig=k3y", "notify_events": "drift, failed"}
    )
    assert not any(secret in repr(settings) for secret in SECRETS)
    assert settings.chosen_events == {Event.DRIFT, Event.FAILED}
    with pytest.raises(ValueError, match="write some of promoted"):
        SchedulerSettings.model_validate({"notify_events": "promoted, lunch"})
    with pytest.raises(ValueError, match="http"):
        SchedulerSettings.model_validate({"notify_url": "file:///etc/passwd"})


def test_ended_runs_keep_their_event_when_a_rollout_changes_their_status(
    notifier: Notifier, engine: Engine, receiver: Receiver
) -> None:
    run_id = ended(engine, RunStatus.ON_TRIAL, model_version="1.0.1")
    notifier.tick()
    assert receiver.bodies == []
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE modeltrainingruns SET status = 'SUCCEEDED' WHERE runid = {run_id}"
        )
    notifier.tick()
    notifier.tick()
    assert [body["event"] for body in receiver.bodies] == ["promoted"]
