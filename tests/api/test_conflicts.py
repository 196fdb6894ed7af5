"""One transaction_id stands for one payload."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scoring.idempotency import conflicting_fields
from api.settings import Settings
from tests.api.server import Running
from tests.api.tiny import count_rows
from tests.support.api_calls import CONFLICT, named
from tests.support.api_desk import Desk
from usecases.fraud.requests import TransactionRequest
from usecases.fraud.serving import use_case

NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
OPTIONAL: dict[str, list[Any]] = {
    "user_id": ["u", "v"],
    "merchant_id": ["shop", "other"],
    "event_time": ["2026-01-05T10:15:00Z", "2026-01-05T11:15:00+01:00", "2026-01-06T10:15:00Z"],
    "transaction_type": ["purchase", "transfer"],
    "currency": ["EUR", "USD"],
    "merchant_category": ["food"],
    "channel": ["online"],
    "country": ["NG", "DE"],
    "device_id": ["d"],
    "utc_offset_min": [60],
}
TO_TRANSACTION = use_case().to_transaction


def payloads() -> st.SearchStrategy[dict[str, Any]]:
    optional = {name: st.sampled_from(values) for name, values in OPTIONAL.items()}
    amounts = st.sampled_from([0.0, 10.0, 10.000000000000002, 9_500.0])
    return st.fixed_dictionaries({"amount": amounts}, optional=optional)


def compared(first: dict[str, Any], again: dict[str, Any], later_us: int = 0) -> list[str]:
    """Fields by which a second request differs from the first, which was decided at NOW_US."""
    said = TransactionRequest(transaction_id="t", **first)
    decided = TO_TRANSACTION(said, NOW_US)
    request = TransactionRequest(transaction_id="t", **again)
    sent = TO_TRANSACTION(request, NOW_US + later_us)
    return conflicting_fields(request, sent, decided, TO_TRANSACTION)


@given(payloads(), st.integers(1, 40 * HOUR_US))
def test_an_exact_repeat_is_a_repeat_however_much_later(
    payload: dict[str, Any], later_us: int
) -> None:
    assert compared(payload, payload, later_us) == []


@given(payloads(), payloads(), st.integers(1, 40 * HOUR_US))
def test_whatever_means_something_else_is_named(
    first: dict[str, Any], again: dict[str, Any], later_us: int
) -> None:
    defaults = {"transaction_type": "purchase", "currency": "EUR"}

    def meaning(payload: dict[str, Any], name: str) -> Any:
        said = payload.get(name, defaults.get(name))
        return (
            TransactionRequest(amount=0, event_time=said).event_time
            if name == "event_time"
            else said
        )

    differing = {
        name for name in ("amount", *OPTIONAL) if meaning(first, name) != meaning(again, name)
    }
    assert set(compared(first, again, later_us)) == differing


@pytest.mark.parametrize("hour", [0, 12, 23])
def test_an_hour_of_the_day_repeated_the_next_day_is_a_repeat(hour: int) -> None:
    payload = {"amount": 1.0, "transaction_time": hour}
    for later_hours in (0, 1, 13, 24, 30):
        assert compared(payload, payload, later_hours * HOUR_US) == []


def test_an_invented_id_is_not_taken_for_a_generated_one() -> None:
    first = {"amount": 1.0}
    assert compared(first, {"amount": 1.0, "user_id": "anonymous-1"}) == ["user_id"]
    assert compared({**first, "user_id": "u"}, first) == ["user_id"]


def test_a_row_that_waited_for_its_turn_is_still_repeated_without_a_time() -> None:
    request = TransactionRequest(transaction_id="t", amount=1.0)
    decided = TO_TRANSACTION(request, NOW_US)
    decided.ingested_at_us += 2_000_000
    sent = TO_TRANSACTION(request, NOW_US + HOUR_US)
    assert conflicting_fields(request, sent, decided, TO_TRANSACTION) == []


@pytest.mark.parametrize("is_stored", [False, True])
def test_another_payload_is_refused_and_the_same_is_answered_as_before(
    settings: Settings, is_stored: bool
) -> None:
    with Running(settings.model_copy(update={"answered_capacity": 0})) as server:
        first = server.score(amount=1.0, transaction_id="t", user_id="u")
        if is_stored:
            server.drained()
        other = server.score(amount=999.0, transaction_id="t", user_id="u")
        assert named(other) == ["amount"]
        assert server.score(amount=1.0, transaction_id="t", user_id="u").content == first.content
        decided = server.client.post("/decide", json={"amount": 2.0, "transaction_id": "t"})
        assert named(decided) == ["user_id"]
        server.drained()
        assert count_rows(server.service.database.engine) == 1
        text = server.client.get("/metrics").text
        assert "understudy_idempotency_conflicts_total 2.0" in text


def test_another_payload_is_refused_after_a_restart_and_the_same_is_not(
    settings: Settings,
) -> None:
    waits = settings.model_copy(update={"journal_drain_seconds": 60.0})
    with Running(waits) as server:
        first = server.score(amount=1.0, transaction_id="t")
    with Running(settings) as server:
        assert named(server.score(amount=2.0, transaction_id="t")) == ["amount"]
        assert server.score(amount=1.0, transaction_id="t").content == first.content


def test_a_stranger_who_guesses_an_id_is_told_nothing_but_that_it_is_another_users(
    serving: Running,
) -> None:
    serving.score(amount=1234.5, transaction_id="t", user_id="somebody")
    for amount in (1234.5, 7.0):
        answer = serving.score(amount=amount, transaction_id="t", user_id="stranger")
        assert named(answer) == ["user_id"]
        assert "somebody" not in answer.text
        assert "probability" not in answer.text
    answer = serving.score(amount=7.0, transaction_id="t", user_id="somebody")
    assert "1234" not in answer.text
    assert "7.0" in answer.json()["errors"][0]["problem"]


def test_in_one_tick_the_first_payload_of_an_id_is_decided(serving: Running) -> None:
    first, same, other = Desk(serving).ask(
        {"amount": 1.0, "transaction_id": "t"},
        {"amount": 1.0, "transaction_id": "t"},
        {"amount": 9.0, "transaction_id": "t"},
    )
    assert first.body == same.body
    assert (other.status, other.body["type"]) == (409, CONFLICT)


def test_in_a_batch_another_payload_gets_its_own_error(serving: Running) -> None:
    serving.score(amount=1.0, transaction_id="old")
    rows = [
        {"amount": 1.0, "transaction_id": "new"},
        {"amount": 2.0, "transaction_id": "new"},
        {"amount": 1.0, "transaction_id": "old"},
        {"amount": 2.0, "transaction_id": "old"},
    ]
    answer = serving.client.post("/score/batch", json={"instances": rows})
    assert answer.status_code == 200
    found = [row.get("error", {}).get("type") for row in answer.json()["predictions"]]
    assert found == [None, CONFLICT, None, CONFLICT]
    serving.drained()
    assert count_rows(serving.service.database.engine) == 2


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_of_payloads_that_come_at_once_one_is_decided(settings: Settings, mode: str) -> None:
    changed = {"scoring_in_threads": mode}
    with Running(settings.model_copy(update=changed)) as server, ThreadPoolExecutor(8) as clients:
        for name in ("a", "b", "c"):
            asked = [
                clients.submit(
                    server.score, amount=float(n % 2), user_id=f"u{n % 4}", transaction_id=name
                )
                for n in range(16)
            ]
            statuses = [one.result().status_code for one in asked]
            assert sorted(statuses) == [200] * 4 + [409] * 12
        server.drained()
        assert count_rows(server.service.database.engine) == 3
