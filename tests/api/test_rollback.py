import shutil

import pytest

from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer, install
from tests.api.server import Running
from tests.support.api_calls import alert
from tests.support.api_pushes import audit


@pytest.fixture
def two(settings: Settings, signer: Signer) -> Settings:
    """1.0.1 is served, 1.0.0 is its fallback."""
    install(settings, signer, "1.0.1")
    return settings


def test_a_rollback_goes_to_the_version_served_before_and_is_audited(two: Settings) -> None:
    with Running(two) as server:
        answer = server.rollback("too many alerts")
        assert answer.status_code == 200, answer.text
        assert (answer.json()["version"], answer.json()["previous"]) == ("1.0.0", "1.0.1")
        assert server.score(amount=1.0).json()["version"] == "1.0.0"
        listed = server.client.get("/models").json()["models"]
    line = audit(two)[-1]
    assert (line["what"], line["why"], line["who"]) == ("rollback", "too many alerts", "operator")
    assert [(model["version"], model["state"]) for model in listed] == [
        ("1.0.1", "rolled-back"),
        ("1.0.0", "serving"),
    ]
    assert listed[0]["rolled_back_reason"] == "too many alerts"


def test_a_rollback_survives_a_restart(two: Settings) -> None:
    with Running(two) as server:
        server.rollback()
    with Running(two) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"


def test_a_rollback_never_returns_to_a_version_that_was_stepped_back_from(two: Settings) -> None:
    with Running(two) as server:
        server.rollback()
        again = server.rollback()
    assert again.status_code == 409
    assert again.json()["type"] == "urn:understudy:problem:no-fallback"


def test_an_operator_may_name_any_version_on_disk(two: Settings, signer: Signer) -> None:
    install(two, signer, "1.0.2")
    with Running(two) as server:
        assert server.rollback(version="1.0.0").json()["version"] == "1.0.0"
        assert server.rollback(version="1.0.2").json()["version"] == "1.0.2"


@pytest.mark.parametrize("version", ["1.0.7", "../../etc", "1.0.0%2e", "latest", ""])
def test_an_unknown_version_is_told_with_those_there_are(two: Settings, version: str) -> None:
    with Running(two) as server:
        answer = server.rollback(version=version)
    assert answer.status_code == 404
    assert answer.json()["known_versions"] == ["1.0.1", "1.0.0"]


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "why", "version": "x" * 65}])
def test_a_rollback_needs_a_reason(serving: Running, body: dict[str, str]) -> None:
    headers = serving.bearer(Role.OPERATOR)
    assert serving.client.post("/rollback_model", json=body, headers=headers).status_code == 422


def test_the_fallback_is_kept_in_memory_and_needs_no_disk(two: Settings) -> None:
    with Running(two) as server:
        shutil.rmtree(two.prod_models_dir)
        two.prod_models_dir.write_text("a file where the registry was")
        answer = server.rollback()
        # It is told that a restart would not know, but what is served has changed.
        assert answer.status_code == 500
        assert answer.json()["type"] == "urn:understudy:problem:registry-failed"
        assert server.score(amount=1.0).json()["version"] == "1.0.0"


def test_an_alert_about_the_serving_version_rolls_back_once(two: Settings) -> None:
    with Running(two) as server:
        first = alert(server, "1.0.1")
        assert first.json()["action"] == "rolled-back", first.text
        assert first.json()["version"] == "1.0.0"
        repeated = alert(server, "1.0.1")
        assert (repeated.json()["action"], repeated.json()["version"]) == ("none", "1.0.0")
    assert audit(two)[-1]["why"] == "ScoreDrift: it moved"
    assert audit(two)[-1]["who"] == "alert"


@pytest.mark.parametrize(("version", "status"), [("1.0.0", "firing"), ("1.0.1", "resolved")])
def test_an_alert_about_anything_else_changes_nothing(
    two: Settings, version: str, status: str
) -> None:
    with Running(two) as server:
        answer = alert(server, version, status)
        assert (answer.status_code, answer.json()["action"]) == (200, "none")
        assert server.client.get("/current_model").json()["version"] == "1.0.1"


def test_an_alert_without_a_fallback_says_so_and_changes_nothing(serving: Running) -> None:
    answer = alert(serving, "1.0.0")
    assert (answer.status_code, answer.json()["action"]) == (200, "none")
    assert "there is no version to roll back to" in answer.json()["reason"]
