from urllib.parse import quote

import pytest

from shared.contracts.http import PERSON
from shared.keys.tokens import Role
from shared.tables.config import read_retraining_config
from shared.tables.runs import RunStatus, claim_next, finish
from tests.api.server import Running
from tests.support.api_pushes import audit


def trigger(server: Running) -> int:
    answer = server.client.post(
        "/api/mlops/trigger-retraining", auth=("operator", server.token(Role.TRIGGER))
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "REQUESTED"
    run_id = int(answer.json()["run_id"])
    assert answer.headers["Location"] == f"/api/mlops/runs/{run_id}"
    return run_id


def test_a_triggered_run_can_be_claimed_and_followed(serving: Running) -> None:
    run_id = trigger(serving)
    shown = serving.client.get(f"/api/mlops/runs/{run_id}").json()
    assert (shown["status"], shown["requested_by"]) == ("REQUESTED", "trigger")
    engine = serving.service.database.engine
    claimed = claim_next(engine)
    assert claimed is not None
    assert claimed.run_id == run_id
    finish(engine, run_id, RunStatus.REFUSED, "not-better", "kept", metrics={"ap": 0.5})
    shown = serving.client.get(f"/api/mlops/runs/{run_id}").json()
    assert (shown["status"], shown["code"], shown["metrics"]) == (
        "REFUSED", "not-better", {"ap": 0.5},
    )  # fmt: skip


def test_runs_are_listed_newest_first(serving: Running) -> None:
    older, newer = trigger(serving), trigger(serving)
    runs = serving.client.get("/api/mlops/runs").json()["runs"]
    assert [run["run_id"] for run in runs] == [newer, older]
    limited = serving.client.get("/api/mlops/runs?limit=1").json()["runs"]
    assert [run["run_id"] for run in limited] == [newer]


def by(server: Running, person: str | None) -> dict[str, str]:
    """The operator's credentials, in the name of a person."""
    return server.bearer(Role.OPERATOR) | ({} if person is None else {PERSON: quote(person)})


def test_an_operator_triggers_a_run_in_the_name_of_a_person(serving: Running) -> None:
    answer = serving.client.post("/api/mlops/trigger-retraining", headers=by(serving, "Zoë K."))
    assert answer.status_code == 202
    shown = serving.client.get(f"/api/mlops/runs/{answer.json()['run_id']}").json()
    assert shown["requested_by"] == "operator/Zoë K."


def test_a_run_that_waits_is_cancelled_with_a_name_and_a_reason_in_the_trail(
    serving: Running,
) -> None:
    path = f"/api/mlops/runs/{trigger(serving)}/cancel"
    body = {"reason": "asked for twice"}
    done = serving.client.post(path, json=body, headers=by(serving, "anna"))
    assert (done.status_code, done.json()["status"]) == (200, "REQUESTED")
    assert serving.client.get(path.removesuffix("/cancel")).json()["status"] == "SKIPPED"
    line = serving.service.models.registry.audit_path.read_text().splitlines()[-1]
    assert '"what": "run-cancelled", "who": "operator/anna", "why": "asked for twice"' in line
    again = serving.client.post(path, json=body, headers=by(serving, "anna"))
    assert (again.status_code, again.json()["type"]) == (409, "urn:understudy:problem:run-over")


def test_the_schedule_is_changed_and_paused_with_a_name_and_a_reason(serving: Running) -> None:
    path, headers = "/api/mlops/schedule", by(serving, "anna")
    body = {"interval": " weekly  sunday 03:00 ", "is_enabled": False, "reason": "a holiday"}
    done = serving.client.post(path, json=body, headers=headers)
    assert done.json() == {"interval": "weekly sunday 03:00", "is_enabled": False}
    config = read_retraining_config(serving.service.database.engine)
    assert (config.interval, config.is_enabled) == ("weekly sunday 03:00", False)
    assert "a holiday" in serving.service.models.registry.audit_path.read_text()
    wrong = serving.client.post(path, json={"interval": "30m", "reason": "why"}, headers=headers)
    assert wrong.status_code == 422
    assert "PT30M" in wrong.json()["detail"]
    nothing = serving.client.post(path, json={"reason": "why"}, headers=headers)
    assert nothing.status_code == 422


@pytest.mark.parametrize("person", ["", "a" * 65, "a\nb", "<b>", "-", "a/b", "_", "%00"])
def test_a_name_that_could_pass_for_something_else_is_refused(
    serving: Running, person: str
) -> None:
    body = {"is_enabled": True, "reason": "a test"}
    answer = serving.client.post("/api/mlops/schedule", json=body, headers=by(serving, person))
    assert answer.status_code == 422
    assert "X-Person" in answer.json()["detail"]


def test_a_forced_run_keeps_the_person_and_the_reason_and_is_in_the_audit_trail(
    serving: Running,
) -> None:
    path, said = "/api/mlops/force-retraining", {"reason": "the shop in Graz has opened"}
    answer = serving.client.post(path, json=said, headers=by(serving, "anna"))
    assert answer.status_code == 202, answer.text
    run_id = answer.json()["run_id"]
    shown = serving.client.get(f"/api/mlops/runs/{run_id}").json()
    assert (shown["forced_by"], shown["forced_reason"]) == ("operator/anna", said["reason"])
    line = audit(serving.settings)[-1]
    assert (line["what"], line["who"], line["why"], line["run_id"]) == (
        "retraining-forced", "operator/anna", said["reason"], run_id,
    )  # fmt: skip
    assert serving.client.post(path, json={}, headers=by(serving, "anna")).status_code == 422
    assert serving.client.get(f"/api/mlops/runs/{trigger(serving)}").json()["forced_by"] is None


def test_a_replay_is_asked_for_in_a_persons_name_and_only_one_at_a_time(serving: Running) -> None:
    path = "/api/mlops/replays"
    said = {"begin": "2026-01-01", "every": "2W", "reason": "is two weeks often enough?"}
    answer = serving.client.post(path, json=said, headers=by(serving, "anna"))
    assert answer.status_code == 202, answer.text
    run_id = answer.json()["run_id"]
    shown = serving.client.get(answer.headers["Location"]).json()
    assert (shown["job"], shown["requested_by"]) == ("replay", "operator/anna")
    assert shown["arguments"] == {"begin": "2026-01-01", "every": "2W"}
    line = audit(serving.settings)[-1]
    assert (line["what"], line["who"], line["why"], line["run_id"], line["every"]) == (
        "replay-requested", "operator/anna", said["reason"], run_id, "2W",
    )  # fmt: skip
    second = serving.client.post(path, json=said, headers=by(serving, "bert"))
    assert second.status_code == 409
    assert f"run {run_id}" in second.json()["detail"]
    body = {"reason": "enough of it"}
    ended = serving.client.post(f"{path[:-7]}runs/{run_id}/cancel", json=body,
                                headers=by(serving, "bert"))  # fmt: skip
    assert ended.status_code == 200
    assert serving.client.post(path, json=said, headers=by(serving, "bert")).status_code == 202


@pytest.mark.parametrize(
    "wrong",
    [
        {"begin": "yesterday"},
        {"begin": "9999-99-99"},
        {"every": "often"},
        {"metric": "$(id)"},
        {"end": "2025-01-01"},
        {"reason": ""},
        {"more": 1},
    ],
)
def test_a_replay_that_cannot_be_is_refused_by_the_name_of_the_field(
    serving: Running, wrong: dict[str, object]
) -> None:
    said = {"begin": "2026-01-01", "every": "2W", "reason": "a question", **wrong}
    answer = serving.client.post("/api/mlops/replays", json=said, headers=by(serving, "anna"))
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.text
