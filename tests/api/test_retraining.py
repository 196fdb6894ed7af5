from shared.keys.tokens import Role
from shared.tables.runs import RunStatus, claim_next, finish
from tests.api.server import Running


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
