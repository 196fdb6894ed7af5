"""One decision with all it rests on: for callers with a token, never for those who guess ids."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import usecases
from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.server import Running
from tests.api.shipped import running_shipped
from tests.support.api_calls import feedback
from tests.support.served_declared import NAMED, churn_settings, drained


def asked(server: Running, row_id: str) -> httpx.Response:
    return server.client.get(f"/decisions/{row_id}", headers=server.bearer(Role.READ))


def told(server: Running, row_id: str) -> dict[str, Any]:
    answer = asked(server, row_id)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = churn_settings(tmp_path_factory.mktemp("decisions"))
    with Running(settings, usecases.load_serving("churn")) as running:
        answer = running.client.post("/predict", json=NAMED)
        assert answer.status_code == 200, answer.text
        drained(running)
        yield running


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guessed-token-of-a-stranger"}])
def test_nobody_reads_a_decision_without_a_token_also_where_reading_is_open(
    serving: Running, headers: dict[str, str]
) -> None:
    assert serving.client.get("/current_model").status_code == 200
    serving.score(transaction_id="t-1", amount=5.0)
    for row_id in ("t-1", "t-2"):
        # the same answer for an id that exists and one that does not
        answer = serving.client.get(f"/decisions/{row_id}", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["type"].endswith("no-credentials")


@pytest.mark.parametrize("role", [Role.SCORER, Role.FEEDBACK, Role.ALERT])
def test_other_roles_do_not_read_decisions(serving: Running, role: Role) -> None:
    answer = serving.client.get("/decisions/t-1", headers=serving.bearer(role))
    assert answer.status_code == 403


def test_a_decision_tells_row_scores_thresholds_rules_and_sender(serving: Running) -> None:
    serving.score(transaction_id="t-1", user_id="u-1", amount=5.0)
    serving.drained()
    found = told(serving, "t-1")
    assert (found["row"]["user_id"], found["row"]["amount"]) == ("u-1", 5.0)
    assert found["row"]["event_time"].endswith("Z")
    assert (found["model_version"], found["sent_by"]) == ("1.0.0", "anonymous")
    assert found["features"] == {"amount": 5.0, "seen_before": 0.0}
    [review] = [one for one in found["thresholds"] if one["name"] == "review"]
    assert review["compared_with"] == "score"
    assert review["is_reached"] == (found["score"] >= review["threshold"])
    assert found["is_stored"] is True
    assert found["label"] is None


def test_a_label_and_the_one_it_replaced_are_told(serving: Running) -> None:
    serving.score(transaction_id="t-1", amount=5.0)
    serving.drained()
    for label, known_at in ((1, "2026-01-01T00:00:00Z"), (0, "2026-01-02T00:00:00Z")):
        said = {"transaction_id": "t-1", "label": label, "label_known_at": known_at}
        assert feedback(serving, said).status_code == 200
    found = told(serving, "t-1")
    assert (found["label"]["value"], found["label"]["sent_by"]) == (0, "feedback")
    assert (found["label"]["name"], found["earlier_labels"][0]["name"]) == ("negative", "positive")
    assert found["label"]["known_at"] == "2026-01-02T00:00:00.000000Z"
    [earlier] = found["earlier_labels"]
    assert (earlier["value"], earlier["replaced_at"]) == (1, "2026-01-02T00:00:00.000000Z")


def test_a_row_on_its_way_to_the_database_is_told_from_memory(settings: Settings) -> None:
    slow = settings.model_copy(update={"journal_drain_seconds": 3_600.0})
    with Running(slow) as server:
        server.score(transaction_id="t-1", amount=5.0)
        found = told(server, "t-1")
    assert (found["is_stored"], found["features"]["amount"]) == (False, 5.0)


def test_an_unknown_row_is_not_there_and_the_answer_says_when_to_ask_again(
    serving: Running,
) -> None:
    for row_id in ("t-404", "a%2Fb", "..%2F..", "%00", "x" * 257):
        answer = asked(serving, row_id)
        assert answer.status_code in {404, 422}, answer.text
        assert answer.json()["type"].startswith("urn:understudy:problem:")
    assert "within" in asked(serving, "t-404").json()["detail"]


def test_an_id_with_a_slash_is_an_id(serving: Running) -> None:
    serving.score(transaction_id="shop/7", amount=5.0)
    serving.drained()
    assert told(serving, "shop%2F7")["row_id"] == "shop/7"


def test_the_champion_of_today_judges_the_stored_vector(serving: Running, signer: Signer) -> None:
    serving.score(transaction_id="t-1", amount=5.0)
    serving.drained()
    before = told(serving, "t-1")
    assert before["champion"]["decided_this_row"] is True
    assert before["champion"]["answers"][0]["score"] == pytest.approx(before["score"])
    assert serving.push(signer.bundle("1.0.1"), signer).status_code == 200
    after = told(serving, "t-1")
    # the test's versions differ by what they add to every score
    assert (after["model_version"], after["champion"]["version"]) == ("1.0.0", "1.0.1")
    assert after["champion"]["answers"][0]["score"] != pytest.approx(before["score"])
    assert after["score"] == before["score"]
    assert {one["path"] for one in after["champion"]["answers"]} == {
        route.path for route in serving.service.use_case.routes
    }


def test_a_version_without_trees_is_said_to_be_unexplained(serving: Running) -> None:
    serving.score(transaction_id="t-1", amount=5.0)
    serving.drained()
    explanation = told(serving, "t-1")["explanation"]
    assert explanation["parts"] == []
    assert explanation["not_explained"]


def test_contributions_of_a_declared_row_make_its_score_and_are_called_as_sent(
    churn: Running,
) -> None:
    found = told(churn, "r-1")
    [part] = found["explanation"]["parts"]
    log_odds = math.log(found["score"] / (1 - found["score"]))
    contributions = [one["contribution"] for one in part["contributions"]]
    assert part["expected_raw"] + sum(contributions) == pytest.approx(log_odds, abs=1e-4)
    values = {one["feature"]: one["value"] for one in part["contributions"]}
    assert values == {name: NAMED.get(name) for name in values}
    assert set(found["explanation"]["explained_share"].values()) == {1.0}
    assert found["row"]["contract"] == "month"
    assert found["champion"]["answers"][0]["decision"] == found["decision"]


def test_a_label_of_a_declared_row_is_told_by_the_name_of_its_class(churn: Running) -> None:
    for label in ("no", "yes"):
        said = {"row_id": "r-1", "label": label, "label_known_at": "2026-01-02T00:00:00Z"}
        answer = churn.client.post(
            "/feedback", json={"labels": [said]}, headers=churn.bearer(Role.FEEDBACK)
        )
        assert answer.status_code == 200, answer.text
    found = told(churn, "r-1")
    assert (found["label"]["value"], found["label"]["name"]) == (1.0, "yes")
    assert found["earlier_labels"][0]["name"] == "no"


def test_a_declared_row_says_which_threshold_it_reached(churn: Running) -> None:
    found = told(churn, "r-1")
    for one in found["thresholds"]:
        assert one["value"] == pytest.approx(found["score"])
        assert one["is_reached"] == (found["score"] >= one["threshold"])


def test_the_shipped_rules_show_the_values_they_saw(template: Path, tmp_path: Path) -> None:
    with running_shipped(template, tmp_path / "shipped") as server:
        body = {"transaction_id": "t-9", "amount": 99_999.0, "transaction_type": "transfer"}
        answer = server.client.post("/api/analyze-transaction", json=body)
        assert answer.status_code == 200, answer.text
        server.drained()
        found = told(server, "t-9")
    assert found["decision"] == answer.json()["decision"]
    assert found["reason_codes"] == answer.json()["reason_codes"]
    assert found["matched_rules"] == answer.json()["matched_rules"]
    assert set(found["component_scores"]) == {"classifier", "isolation_forest", "autoencoder"}
    again = {one["path"]: one["decision"] for one in found["champion"]["answers"]}
    assert again["/api/analyze-transaction"] == found["decision"]
