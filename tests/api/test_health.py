from sqlalchemy import update

from shared.tables.schema import retraining_config
from tests.api.server import Running


def test_a_service_that_scores_is_alive_ready_and_well(steady: Running) -> None:
    assert steady.client.get("/livez").json() == {"status": "alive"}
    ready = {"status": "ready", "version": "1.0.0", "behind": None, "history": None}
    assert steady.client.get("/readyz").json() == ready
    health = steady.client.get("/api/health").json()
    assert health["status"] == "ok"
    parts = {"model", "workers", "journal", "database", "clock", "history", "retraining"}
    assert set(health["components"]) == parts
    assert health["components"]["model"]["figures"]["version"] == "1.0.0"


def test_without_a_model_it_is_alive_but_not_ready(running: Running) -> None:
    assert running.client.get("/livez").status_code == 200
    ready = running.client.get("/readyz")
    assert (ready.status_code, ready.json()["type"]) == (503, "urn:understudy:problem:no-model")
    assert running.client.get("/api/health").json()["status"] == "down"
    assert running.client.get("/current_model").status_code == 503


def test_an_interval_that_does_not_parse_is_reported(serving: Running) -> None:
    with serving.service.database.engine.begin() as connection:
        connection.execute(update(retraining_config).values(interval="every full moon"))
    retraining = serving.client.get("/api/health").json()["components"]["retraining"]
    assert retraining["state"] == "degraded"
    assert "1W" in retraining["detail"]


def test_the_figures_count_answers_decisions_and_the_version(serving: Running) -> None:
    serving.score(amount=3.0)
    serving.score(amount=-1.0)
    serving.client.get("/nowhere/at/all")
    text = serving.client.get("/metrics").text
    assert 'understudy_requests_total{route="/score",status="200"} 1.0' in text
    assert 'understudy_requests_total{route="/score",status="422"} 1.0' in text
    assert 'understudy_requests_total{route="unknown",status="404"} 1.0' in text
    assert 'understudy_request_seconds_count{route="/score"} 2.0' in text
    assert 'understudy_decisions_total{decision="review",version="1.0.0"} 1.0' in text
    assert 'understudy_model_info{version="1.0.0"} 1.0' in text
    assert "understudy_journal_bytes_limit" in text


def test_what_is_served_is_told_with_where_it_comes_from(steady: Running) -> None:
    current = steady.client.get("/current_model").json()
    assert current["version"] == current["newest_accepted"] == "1.0.0"
    assert current["fallback"] is None
    assert current["feature_names"] == ["amount", "seen_before"]
    assert current["training_data"]["rows"] == 10
    assert current["metrics"] == {"average_precision": 0.9}
    assert len(current["sha256"]) == 64
