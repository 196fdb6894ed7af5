from dataclasses import replace

import httpx

from api.settings import Settings
from tests.api.bundles import Signer
from tests.api.server import Running, wait_until
from tests.api.tiny import TinySource, TinyUseCase, count_rows, stored_rows


def test_a_row_is_scored_by_the_model_and_the_answer_names_it(serving: Running) -> None:
    answer = serving.score(amount=3.0)
    assert answer.status_code == 200
    assert answer.json()["probability"] == 1.5
    assert answer.headers["X-Model-Version"] == "1.0.0"
    assert answer.headers["Content-Type"] == "application/json"


def test_the_decision_reaches_the_database_with_everything_that_led_to_it(serving: Running) -> None:
    transaction_id = serving.client.post("/decide", json={"amount": 3.0}).json()["transaction_id"]
    serving.drained()
    (row,) = stored_rows(serving.service.database.engine)
    assert row["transaction_id"] == transaction_id
    assert row["decision"] == "review"
    assert row["component_scores"] == {"classifier": 1.5, "outlier": 1.5}
    assert row["matched_rules"] == ["big"]
    assert row["reason_codes"] == [{"code": "big", "value": 1.0}]
    assert row["model_version"] == "1.0.0"
    assert row["feature_set_version"] == "tiny-1"
    assert len(row["feature_vector"]) == 2 * 4
    assert row["label"] is None


def test_a_user_sees_the_row_just_scored_before_and_after_the_database_has_it(
    serving: Running,
) -> None:
    assert serving.score(amount=1.0, user_id="u").json()["seen_before"] == 0
    assert serving.score(amount=1.0, user_id="u").json()["seen_before"] == 1
    serving.drained()
    assert serving.score(amount=1.0, user_id="u").json()["seen_before"] == 2


def test_rows_the_database_has_are_dropped_from_memory(serving: Running) -> None:
    serving.score(amount=1.0)
    source = serving.service.scoring.source
    assert isinstance(source, TinySource)
    wait_until(lambda: not source.remembered)


def test_a_retried_id_answers_as_before_and_counts_once(serving: Running) -> None:
    first = serving.score(amount=1.0, user_id="u", transaction_id="t")
    again = serving.score(amount=1.0, user_id="u", transaction_id="t")
    assert again.json() == first.json()
    serving.drained()
    assert serving.score(amount=1.0, user_id="u", transaction_id="t").json() == first.json()
    assert count_rows(serving.service.database.engine) == 1


def test_a_retry_after_a_swap_is_answered_by_the_version_that_decided(
    serving: Running, signer: Signer
) -> None:
    first = serving.score(amount=1.0, transaction_id="t")
    assert serving.push(signer.bundle("1.1.0"), signer).status_code == 200
    again = serving.score(amount=1.0, transaction_id="t")
    assert again.json() == first.json()
    assert again.headers["X-Model-Version"] == "1.0.0"
    assert serving.score(amount=1.0).headers["X-Model-Version"] == "1.1.0"


def test_a_retry_on_another_route_answers_about_the_same_decision(serving: Running) -> None:
    serving.score(amount=3.0, transaction_id="t")
    other = serving.client.post("/decide", json={"amount": 3.0, "transaction_id": "t"})
    assert other.json() == {"transaction_id": "t", "decision": "review"}
    serving.drained()
    assert count_rows(serving.service.database.engine) == 1


def test_a_restarted_service_remembers_from_the_database(settings: Settings) -> None:
    with Running(settings) as before:
        first = before.score(amount=1.0, user_id="u", transaction_id="t").json()
        before.score(amount=1.0, user_id="u")
    with Running(settings) as after:
        assert after.score(amount=1.0, user_id="u", transaction_id="t").json() == first
        assert after.score(amount=1.0, user_id="u").json()["seen_before"] == 2


def test_a_model_gets_only_the_features_it_was_trained_on(running: Running, signer: Signer) -> None:
    pushed = running.push(signer.bundle("1.0.0", feature_names=("seen_before",)), signer)
    assert pushed.status_code == 200, pushed.text
    running.score(amount=50.0, user_id="u")
    assert running.score(amount=50.0, user_id="u").json()["probability"] == 0.5


def test_without_a_model_there_is_a_problem_and_a_time_to_come_back(running: Running) -> None:
    answer = running.score(amount=1.0)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:understudy:problem:no-model"
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["X-Model-Version"] == "none"


def test_an_answer_that_fails_tells_no_internals(settings: Settings) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    good = TinyUseCase()
    route = replace(good.routes[0], respond=broken)  # type: ignore[arg-type]
    with Running(settings, replace(good, routes=(route,))) as server:
        answer = server.score(amount=1.0)
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:understudy:problem:internal-error"
    assert "secret" not in answer.text


def test_ids_of_two_users_sent_at_once_are_stored_once_each(serving: Running) -> None:
    with httpx.Client(base_url=serving.url) as other:
        for number in range(20):
            serving.score(amount=1.0, transaction_id=f"t{number}")
            other.post("/score", json={"amount": 1.0, "transaction_id": f"t{number}"})
    serving.drained()
    assert count_rows(serving.service.database.engine) == 20
