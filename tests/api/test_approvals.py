"""A person approves or refuses by HTTP or command line; the trail has the name."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from api.settings import Settings
from shared.keys.tokens import Role
from shared.tables.approvals import WantedApproval, approval_of, hold
from shared.tables.runs import RunStatus, claim_next, get_run, request_run
from tests.api.bundles import Signer
from tests.api.server import Running
from tests.support.api_pushes import audit
from tests.support.command_line import command_in

DIGEST = "a" * 64


def hold_one(engine: Engine, version: str = "1.0.1", champion: str | None = "1.0.0") -> int:
    run_id = request_run(engine, "retraining", 1, "schedule")
    run = claim_next(engine)
    assert run is not None
    wanted = WantedApproval(version, DIGEST, champion, 3_600.0)
    said = {"statusmessage": "passed every gate", "modelversion": version}
    assert hold(engine, run_id, run.fencing_number or 0, wanted, said)
    return run_id


def say(
    server: Running, path: str, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    said = {"version": "1.0.1", "reason": "a test", **body}
    return server.client.post(
        path, json=said, headers=server.bearer(Role.OPERATOR) | (headers or {})
    )


def test_what_waits_is_shown_by_health_and_listed(serving: Running) -> None:
    assert "approval" not in serving.client.get("/api/health").json()["components"]
    run_id = hold_one(serving.service.database.engine)
    part = serving.client.get("/api/health").json()["components"]["approval"]
    assert (part["state"], part["figures"]["version"]) == ("ok", "1.0.1")
    [one] = serving.client.get("/approvals").json()["approvals"]
    assert (one["run_id"], one["state"], one["champion"]) == (run_id, "waiting", "1.0.0")
    run = serving.client.get(f"/api/mlops/runs/{run_id}").json()
    assert run["status"] == "AWAITING"


@pytest.mark.parametrize(
    ("path", "status", "what"),
    [
        ("/approve_model", RunStatus.REQUESTED, "candidate-approved"),
        ("/refuse_model", RunStatus.REFUSED, "candidate-refused"),
    ],
)
def test_an_answer_is_written_into_the_trail_with_the_person(
    serving: Running, path: str, status: RunStatus, what: str
) -> None:
    engine = serving.service.database.engine
    run_id = hold_one(engine)
    answer = say(serving, path, person="anna", sha256=DIGEST)
    assert answer.status_code == 200, answer.text
    run = get_run(engine, run_id)
    assert run is not None
    assert run.status is status
    line = audit(serving.settings)[-1]
    assert (line["what"], line["who"], line["why"]) == (what, "operator/anna", "a test")
    assert (line["version"], line["run_id"], line["sha256"]) == ("1.0.1", run_id, DIGEST)
    again = say(serving, path, person="bela")
    assert again.status_code == 409
    assert "operator/anna" in again.json()["detail"]


def test_an_answer_needs_the_operators_token_and_a_name(serving: Running) -> None:
    hold_one(serving.service.database.engine)
    for path in ("/approve_model", "/refuse_model"):
        body = {"version": "1.0.1", "reason": "a test", "person": "anna"}
        assert serving.client.post(path, json=body).status_code == 401
        wrong = serving.client.post(path, json=body, headers=serving.bearer(Role.PUSH))
        assert wrong.status_code == 403
        nameless = say(serving, path)
        assert nameless.status_code == 422
        assert nameless.json()["errors"][0]["field"] == "person"
    assert not (serving.settings.prod_models_dir / "audit.jsonl").exists()


def test_void_evidence_approves_nothing_and_may_be_refused(
    serving: Running, signer: Signer
) -> None:
    engine = serving.service.database.engine
    run_id = hold_one(engine, "1.0.5")
    assert serving.push(signer.bundle("1.0.4"), signer).status_code == 200
    answer = say(serving, "/approve_model", version="1.0.5", person="anna")
    assert answer.status_code == 409
    assert "the comparison is void" in answer.json()["detail"]
    other = say(serving, "/approve_model", version="1.0.5", person="anna", sha256="b" * 64)
    assert "another bundle" in other.json()["detail"]
    found = approval_of(engine, run_id)
    assert found is not None
    assert found.state == "waiting"
    assert say(serving, "/refuse_model", version="1.0.5", person="anna").status_code == 200


@pytest.mark.parametrize("version", ["1.0.9", "", "<script>", "x" * 64])
def test_a_version_that_does_not_wait_is_a_conflict(serving: Running, version: str) -> None:
    answer = say(serving, "/approve_model", version=version, person="anna")
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("not-waiting")


def test_the_lines_of_approval_change_no_version_when_the_ledger_is_rebuilt(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        hold_one(server.service.database.engine, "1.0.0", champion="1.0.0")
        assert say(server, "/refuse_model", version="1.0.0", person="anna").status_code == 200
        before = server.client.get("/models").json()["models"][0]["state"]
    (settings.prod_models_dir / "ledger.json").unlink()
    with Running(settings) as server:
        assert server.client.get("/models").json()["models"][0]["state"] == before == "serving"


def test_the_commands_list_approve_and_refuse(serving: Running, tmp_path: Path) -> None:
    engine = serving.service.database.engine
    command = command_in(tmp_path)
    variables = {
        "API_URL": serving.url,
        "KEYS_DIR": str(serving.settings.keys_dir),
        "UNDERSTUDY_PERSON": "anna",
    }
    hold_one(engine)
    listed = command("approvals", **variables)
    assert "1.0.1" in listed.stdout
    assert "waiting" in listed.stdout
    done = command("approve", "1.0.1", "--reason", "gains everywhere", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "approved by operator/anna" in done.stdout
    late = command("refuse", "1.0.1", "--reason", "second thoughts", "--as", "bela", **variables)
    assert (late.returncode, late.stderr.count("\n")) == (2, 1)
    shown = json.loads(command("approvals", "--json", **variables).stdout)
    assert shown[0]["decided_by"] == "operator/anna"
    named = command("refuse", "1.0.1", "--reason", "a test", "--as", "a/b", **variables)
    assert "--as" in named.stderr
