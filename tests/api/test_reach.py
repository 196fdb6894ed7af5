"""Whose rows become history depends on who can reach an open port, and a setting says who."""

from collections.abc import Iterator

import pytest

from api.settings import Settings, load_settings
from api.wiring import build_service
from shared.clock import SystemClock
from shared.errors import SettingsError
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.faulty import FAILS, nan_model
from tests.api.server import Running
from tests.api.tiny import TinySource, TinyUseCase, stored_rows
from tests.support.api_calls import ago, feedback, quarantined_rows


@pytest.fixture
def exposed(settings: Settings) -> Iterator[Running]:
    """Open scoring that others can reach."""
    with Running(settings.model_copy(update={"open_scoring_reach": "anywhere"})) as server:
        yield server


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "scoring.example.org"])
def test_open_scoring_beyond_this_machine_is_refused_unless_a_setting_says_so(
    settings: Settings, host: str
) -> None:
    open_to_others = settings.model_copy(update={"api_host": host})
    with pytest.raises(SettingsError, match="OPEN_SCORING_REACH=private-network"):
        build_service(open_to_others, TinyUseCase(), SystemClock())
    for named in ({"scoring_auth": "on"}, {"open_scoring_reach": "private-network"}):
        build_service(open_to_others.model_copy(update=named), TinyUseCase(), SystemClock())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_open_scoring_on_this_machine_needs_no_setting(settings: Settings, host: str) -> None:
    build_service(settings.model_copy(update={"api_host": host}), TinyUseCase(), SystemClock())


def test_the_refusal_comes_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_HOST", "0.0.0.0")
    with pytest.raises(SettingsError, match="SCORING_AUTH=on"):
        load_settings()
    monkeypatch.setenv("OPEN_SCORING_REACH", "anywhere")
    assert load_settings().open_scoring_reach == "anywhere"


def test_anonymous_rows_from_anywhere_are_scored_and_nobodys_past(exposed: Running) -> None:
    for number in range(3):
        row = {"amount": 1.0, "user_id": "u", "transaction_id": f"stranger-{number}"}
        assert exposed.score(**row).json()["seen_before"] == 0
    mine = exposed.client.post(
        "/score", json={"amount": 1.0, "user_id": "u"}, headers=exposed.bearer(Role.SCORER)
    )
    assert mine.json()["seen_before"] == 0
    exposed.drained()
    # what is stored is seen as little as what waits
    assert exposed.score(amount=1.0, user_id="u").json()["seen_before"] == 1
    engine = exposed.service.database.engine
    assert [row["sent_by"] for row in stored_rows(engine)] == ["scorer"]
    kept = {row["transaction_id"]: row["sent_by"] for row in quarantined_rows(engine)}
    assert kept.items() >= {f"stranger-{n}": "anonymous" for n in range(3)}.items()
    assert "understudy_rows_quarantined_total 4.0" in exposed.client.get("/metrics").text


def test_rows_of_both_kinds_in_one_batch_keep_their_order(exposed: Running) -> None:
    rows = [{"amount": float(n), "user_id": "u"} for n in range(4)]
    answer = exposed.client.post("/score/batch", json={"instances": rows}).json()
    assert [row["probability"] for row in answer["predictions"]] == [n / 2 for n in range(4)]
    assert {row["seen_before"] for row in answer["predictions"]} == {0}


def test_an_anonymous_row_neither_takes_an_id_nor_reads_its_decision(exposed: Running) -> None:
    headers = exposed.bearer(Role.SCORER)
    body = {"amount": 1.0, "transaction_id": "t"}
    for _ in range(2):  # from memory, then from the database
        assert exposed.score(amount=9.0, transaction_id="t").json()["probability"] == 4.5
        mine = exposed.client.post("/score", json=body, headers=headers).json()
        assert mine["probability"] == 0.5
        assert exposed.score(amount=9.0, transaction_id="t").json()["probability"] == 4.5
        exposed.drained()
    engine = exposed.service.database.engine
    assert [row["amount"] for row in stored_rows(engine)] == [1.0]
    assert [row["amount"] for row in quarantined_rows(engine)] == [9.0]


def test_a_decision_about_a_quarantined_row_survives_a_kill_and_is_still_nobodys_past(
    settings: Settings,
) -> None:
    exposed = {"open_scoring_reach": "anywhere", "journal_drain_seconds": 60.0}
    slow = settings.model_copy(update=exposed)
    with Running(slow) as server:
        server.score(amount=3.0, user_id="u", transaction_id="t")
        left = list(server.service.journaling.journal.pending())
    with Running(slow) as server:
        assert server.score(amount=3.0, user_id="u", transaction_id="t").json()["seen_before"] == 0
        assert [row["amount"] for row in quarantined_rows(server.service.database.engine)] == [3.0]
        source = server.service.scoring.source
        assert isinstance(source, TinySource)
        assert source.remembered == {}
    assert len(left) == 1


def test_a_row_that_cannot_be_scored_takes_nothing_from_its_namesake(
    settings: Settings, signer: Signer
) -> None:
    update = {"open_scoring_reach": "anywhere", "journal_drain_seconds": 60.0}
    with Running(settings.model_copy(update=update)) as server:
        broken = signer.bundle("1.0.1", {"model.onnx": nan_model("1.0.1")})
        headers = server.bearer(Role.SCORER)
        body = {"amount": 1.0, "user_id": "u", "transaction_id": "t"}
        assert server.client.post("/score", json=body, headers=headers).is_success
        assert server.push(broken, signer).is_success
        server.score(amount=FAILS, user_id="u", transaction_id="t")
        source = server.service.scoring.source
        assert isinstance(source, TinySource)
        assert set(source.remembered) == {"t"}


def test_a_label_of_a_quarantined_row_is_kept_with_it(exposed: Running) -> None:
    exposed.score(amount=1.0, transaction_id="t")
    told = feedback(exposed, {"transaction_id": "t", "label": 1}).json()
    assert told["unknown"] == []
    exposed.drained()
    (row,) = quarantined_rows(exposed.service.database.engine)
    assert (row["label"], row["label_sent_by"]) == (1, "feedback")
    assert stored_rows(exposed.service.database.engine) == []


@pytest.mark.parametrize("path", ["/score", "/score?long"])
@pytest.mark.parametrize("hours", [1.1, 24 * 90, -1.1])
def test_an_anonymous_row_that_did_not_happen_now_is_refused_with_the_remedy(
    steady: Running, path: str, hours: float
) -> None:
    body = {"amount": 1.0, "event_time": ago(hours=hours)}
    answer = steady.client.post(path, json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "event_time"
    assert "understudy token scorer" in error["remedy"]
    known = steady.client.post(path, json=body, headers=steady.bearer(Role.SCORER))
    assert known.status_code == 200


def test_one_misdated_row_of_a_batch_is_refused_alone(steady: Running) -> None:
    rows = [{"amount": 1.0}, {"amount": 1.0, "event_time": ago(days=3)}, {"amount": 2.0}]
    answer = steady.client.post("/score/batch", json={"instances": rows}).json()
    first, second, third = answer["predictions"]
    assert (first["probability"], third["probability"]) == (0.5, 1.0)
    assert second["error"]["errors"][0]["field"] == "event_time"


@pytest.mark.parametrize("minutes", [59, 0, -59])
def test_an_anonymous_row_may_be_a_little_late(steady: Running, minutes: float) -> None:
    assert steady.score(amount=1.0, event_time=ago(minutes=minutes)).status_code == 200


def test_a_row_that_was_decided_is_answered_as_before_however_old_it_is(serving: Running) -> None:
    body = {"amount": 1.0, "transaction_id": "t", "event_time": ago(days=3)}
    headers = serving.bearer(Role.SCORER)
    first = serving.client.post("/score", json=body, headers=headers)
    again = serving.client.post("/score", json=body)
    assert (again.status_code, again.text) == (200, first.text)


@pytest.mark.parametrize("path", ["/score", "/score?long"])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_what_a_proxy_passes_on_does_not_come_from_this_machine(
    serving: Running, path: str, header: str
) -> None:
    passed_on = {header: "for=203.0.113.7"}
    body = {"amount": 1.0, "transaction_id": "t"}
    assert serving.client.post(path, json=body, headers=passed_on).status_code == 200
    known = serving.bearer(Role.SCORER) | passed_on
    assert serving.client.post(path, json=body, headers=known).status_code == 200
    serving.drained()
    engine = serving.service.database.engine
    assert [row["sent_by"] for row in quarantined_rows(engine)] == ["anonymous"]
    assert [row["sent_by"] for row in stored_rows(engine)] == ["scorer"]


def test_a_proxy_of_a_private_network_is_named_by_the_setting(settings: Settings) -> None:
    named = settings.model_copy(update={"open_scoring_reach": "private-network"})
    with Running(named) as server:
        passed_on = {"X-Forwarded-For": "10.0.0.7"}
        assert server.client.post("/score", json={"amount": 1.0}, headers=passed_on).is_success
        server.drained()
        assert [row["sent_by"] for row in stored_rows(server.service.database.engine)] == [
            "anonymous"
        ]
