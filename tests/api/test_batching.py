"""Rows of different callers are scored together and do not affect each other."""

from typing import Any

import pytest

from api.scoring.batching import MAX_ROWS
from api.settings import Settings
from tests.api.bundles import Signer
from tests.api.faulty import FAILS, WORKS, error_model, nan_model
from tests.api.server import Running
from tests.api.tiny import count_rows
from tests.support.api_desk import Desk
from tests.support.api_pushes import both_faults, promote


@pytest.fixture
def desk(serving: Running) -> Desk:
    return Desk(serving)


def test_everybody_gets_the_answer_to_the_own_row(desk: Desk) -> None:
    callers = desk.ask(*({"amount": float(n)} for n in range(3 * MAX_ROWS)))
    assert [recipient.body["probability"] for recipient in callers] == [
        n / 2 for n in range(3 * MAX_ROWS)
    ]
    desk.server.drained()
    assert count_rows(desk.server.service.database.engine) == 3 * MAX_ROWS


def test_a_row_that_makes_no_sense_is_nobody_elses_trouble(desk: Desk) -> None:
    far = "2999-01-01T00:00:00Z"
    callers = desk.ask(
        {"amount": 1.0}, {"amount": -1}, {"amount": 1.0, "event_time": far}, {"amount": 2.0}
    )
    assert [recipient.status for recipient in callers] == [200, 422, 422, 200]
    assert callers[2].body["errors"][0]["field"] == "event_time"


def test_rows_of_one_user_see_each_other_in_the_order_they_came(desk: Desk) -> None:
    callers = desk.ask(*({"amount": 1.0, "user_id": "u"} for _ in range(5)))
    assert [recipient.body["seen_before"] for recipient in callers] == [0, 1, 2, 3, 4]


def test_an_id_that_two_callers_send_at_once_is_decided_once(desk: Desk) -> None:
    first, second = desk.ask(
        {"amount": 1.0, "transaction_id": "t"}, {"amount": 1.0, "transaction_id": "t"}
    )
    assert first.body == second.body
    (other,) = desk.ask({"amount": 1.0, "transaction_id": "t"}, path="/decide")
    assert other.body["transaction_id"] == "t"
    desk.server.drained()
    assert count_rows(desk.server.service.database.engine) == 1


@both_faults
def test_a_row_the_model_fails_on_leaves_its_neighbours_to_the_model(
    settings: Settings, signer: Signer, fault: Any
) -> None:
    with Running(settings) as server:
        promote(server, signer, fault)
        good, bad, better = Desk(server).ask(
            {"amount": WORKS}, {"amount": FAILS}, {"amount": WORKS}
        )
    assert [recipient.body["version"] for recipient in (good, bad, better)] == [
        "1.0.1",
        "1.0.0",
        "1.0.1",
    ]


@pytest.mark.parametrize("fault", [nan_model, error_model])
def test_a_row_that_nobody_can_score_gets_its_own_problem(
    running: Running, signer: Signer, fault: Any
) -> None:
    pushed = running.push(signer.bundle("1.0.0", {"model.onnx": fault("1.0.0")}), signer)
    assert pushed.status_code == 200
    good, bad = Desk(running).ask({"amount": WORKS}, {"amount": FAILS, "transaction_id": "t"})
    assert (good.status, bad.status) == (200, 500)
    assert bad.body["type"] == "urn:understudy:problem:scoring-failed"
    running.drained()
    assert count_rows(running.service.database.engine) == 1


def test_without_a_model_everybody_is_told(running: Running) -> None:
    for recipient in Desk(running).ask({"amount": 1.0}, {"amount": 2.0}):
        assert recipient.status == 503
        assert b"retry-after: 5" in recipient.headers


def test_rows_the_journal_has_no_room_for_are_refused_and_are_nobodys_past(
    settings: Settings,
) -> None:
    small = settings.model_copy(
        update={"journal_max_bytes": 64 * 1024, "journal_drain_seconds": 60.0}
    )
    with Running(small) as server:
        desk = Desk(server)
        callers = desk.ask(*({"amount": 1.0, "user_id": f"u{n}"} for n in range(400)))
        kept = [n for n, recipient in enumerate(callers) if recipient.status == 200]
        assert {recipient.status for recipient in callers} == {200, 503}
        assert 0 < len(kept) < 400
        remembered = server.service.scoring.source.remembered  # type: ignore[attr-defined]
        assert {row.user_id for row in remembered.values()} == {f"u{n}" for n in kept}
