"""Changes carry the name of a person, and the trail that keeps it is told to those with a token."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.registry.audit import AuditReader, AuditTrail
from api.settings import Settings
from shared.clock import SystemClock
from shared.contracts.people import person_header
from shared.keys.tokens import Role
from tests.api.bundles import Signer, install
from tests.api.rollout.driving import CANDIDATE, try_out
from tests.api.server import Running
from tests.support.api_pushes import audit


@pytest.fixture
def two(settings: Settings, signer: Signer) -> Settings:
    """1.0.1 is served, 1.0.0 is its fallback."""
    install(settings, signer, "1.0.1")
    return settings


def rolled_back(server: Running, headers: dict[str, str], **body: Any) -> httpx.Response:
    said = server.bearer(Role.OPERATOR) | headers
    return server.client.post("/rollback_model", json={"reason": "a test", **body}, headers=said)


@pytest.mark.parametrize(
    ("headers", "body", "who"),
    [
        ({}, {}, "operator"),
        ({"X-Person": "anna"}, {}, "operator/anna"),
        ({"X-Person": "J%C3%B6rg%20M"}, {}, "operator/Jörg M"),
        ({}, {"person": " Žofie  N "}, "operator/Žofie N"),
        ({"X-Person": "anna"}, {"person": "bela"}, "operator/bela"),
    ],
)
def test_the_person_of_header_or_body_is_in_the_trail(
    two: Settings, headers: dict[str, str], body: dict[str, str], who: str
) -> None:
    with Running(two) as server:
        assert rolled_back(server, headers, **body).status_code == 200
    assert audit(two)[-1]["who"] == who


@pytest.mark.parametrize("name", ["", "%20", "a/b", "x" * 65, "a%00b", "a%1Bb", "%ff", "%E2%80%AE"])
def test_what_is_no_name_changes_nothing(two: Settings, name: str) -> None:
    with Running(two) as server:
        answer = rolled_back(server, {"X-Person": name})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "person"
        assert server.client.get("/current_model").json()["version"] == "1.0.1"


def test_where_a_person_is_required_a_change_without_one_is_refused(two: Settings) -> None:
    with Running(two.model_copy(update={"person_required": True})) as server:
        answer = rolled_back(server, {})
        assert answer.status_code == 422
        assert "X-Person" in answer.json()["detail"]
        assert rolled_back(server, {"X-Person": "anna"}).status_code == 200


def test_a_named_token_is_told_beside_the_person(two: Settings) -> None:
    folder = two.keys_dir / "api" / "named" / "operator"
    folder.mkdir(parents=True)
    (folder / "night-desk.token").write_text("t" * 40)
    with Running(two) as server:
        headers = {"Authorization": f"Bearer {'t' * 40}", "X-Person": "anna"}
        said = {"reason": "a test"}
        assert server.client.post("/rollback_model", json=said, headers=headers).is_success
    assert audit(two)[-1]["who"] == "night-desk/anna"


def test_an_operator_may_end_a_rollout_and_is_named(settings: Settings, signer: Signer) -> None:
    with Running(settings) as server:
        try_out(server, signer, "canary")
        said = {"action": "abort", "version": CANDIDATE, "reason": "complaints"}
        headers = server.bearer(Role.OPERATOR) | {"X-Person": "anna"}
        answer = server.client.post("/update_rollout", json=said, headers=headers)
        assert answer.status_code == 200, answer.text
        last = server.client.get("/current_model").json()["last_rollout"]
    assert last["who"] == "operator/anna"


def test_who_asked_for_a_run_is_kept(serving: Running) -> None:
    auth = httpx.BasicAuth("operator", serving.token(Role.TRIGGER))
    answer = serving.client.post(
        "/api/mlops/trigger-retraining", auth=auth, headers={"X-Person": "anna"}
    )
    run = serving.client.get(f"/api/mlops/runs/{answer.json()['run_id']}").json()
    assert run["requested_by"] == "trigger/anna"


@given(st.text(min_size=1, max_size=64))
def test_every_name_survives_its_header(text: str) -> None:
    try:
        headers = person_header(text)
    except ValueError:
        return
    name = unquote(headers["X-Person"])
    assert name == " ".join(text.split())
    assert headers["X-Person"].isascii()
    assert "/" not in name


def told(server: Running, query: str = "") -> dict[str, Any]:
    answer = server.client.get(f"/audit{query}", headers=server.bearer(Role.READ))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_trail_takes_a_token_also_where_reading_is_open(serving: Running) -> None:
    assert serving.client.get("/audit").status_code == 401
    wrong = serving.client.get("/audit", headers=serving.bearer(Role.SCORER))
    assert wrong.status_code == 403


def test_the_trail_is_told_newest_first_in_pages(two: Settings) -> None:
    with Running(two) as server:
        for number in range(5):
            to = "1.0.0" if number % 2 == 0 else "1.0.1"
            assert rolled_back(server, {"X-Person": f"p{number}"}, version=to).is_success
        first = told(server, "?limit=2")
        assert [entry["who"] for entry in first["entries"]] == ["operator/p4", "operator/p3"]
        second = told(server, f"?limit=2&before={first['next_before']}")
        assert [entry["who"] for entry in second["entries"]] == ["operator/p2", "operator/p1"]
        assert first["is_whole"]
        assert first["lines"] == len(audit(two))
        assert told(server, "?before=1")["entries"] == []


def test_a_line_that_was_changed_is_told(two: Settings) -> None:
    with Running(two) as server:
        rolled_back(server, {"X-Person": "anna"})
        rolled_back(server, {"X-Person": "anna"}, version="1.0.1")
        assert told(server)["is_whole"]
        path = two.prod_models_dir / "audit.jsonl"
        path.write_bytes(path.read_bytes().replace(b"operator/anna", b"operator/otto", 1))
        found = told(server)
    assert not found["is_whole"]
    assert [entry["number"] for entry in found["entries"] if not entry["follows"]] == found[
        "broken"
    ]


def test_an_unfinished_line_is_told_as_unreadable_and_breaks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = AuditTrail(path, SystemClock())
    trail.write("promotion", "push", "fresh data", version="1.0.0")
    with path.open("ab") as file:
        file.write(b'{"at": "2026')
    trail.write("rollback", "operator/anna", "too many", version="1.0.1", extra=[1])
    page = AuditReader(path).page(10)
    assert page.is_whole
    assert [entry.is_readable for entry in page.entries] == [True, False, True]
    assert page.entries[0].details == {"extra": [1]}
    assert json.loads(page.model_dump_json())["lines"] == 3
