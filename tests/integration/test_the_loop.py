"""The whole loop with both services as processes: learn, serve, log, learn again, stop."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from benchmarks.services import Services
from benchmarks.small_world import write_small_world
from shared.clock import SystemClock, isoformat
from shared.keys.tokens import Role, read_token
from shared.tables.runs import RunStatus, get_run
from shared.tables.schema import api_transaction_logs

ROWS = 4_000
PATIENCE_SECONDS = 180


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Services(tmp_path, SCORING_AUTH="on") as services:
        write_small_world(services.engine, SystemClock().now_us(), ROWS)
        yield services


def bearer(services: Services, role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {read_token(services.folder / 'keys', role)}"}


def test_history_becomes_a_model_whose_decisions_become_history(services: Services) -> None:
    services.start_api()
    services.start("scheduler")

    first = services.wait_for_run(timeout_seconds=PATIENCE_SECONDS)
    assert first.status is RunStatus.SUCCEEDED, f"{first.message}\n{services.log_ends()}"
    assert (first.code, first.model_version) == ("first_model", "1.0.0")

    with httpx.Client(base_url=services.url, timeout=10) as client:
        answer = predict(client, services)
        assert answer["version"] == "1.0.0"
        give_feedback(client, services)
        decisions = services.wait_for(
            lambda: labelled_decisions(services), timeout_seconds=PATIENCE_SECONDS
        )
        assert decisions == 1

        triggered = client.post(
            "/api/mlops/force-retraining",
            json={"reason": "the champion is a minute old"},
            headers=bearer(services, Role.OPERATOR),
        )
        assert triggered.status_code == 202
        run_id = triggered.json()["run_id"]
        second = services.wait_for_run(run_id, timeout_seconds=PATIENCE_SECONDS)
        serving = client.get("/current_model", headers=bearer(services, Role.READ)).json()

    assert second.status in {RunStatus.SUCCEEDED, RunStatus.REFUSED}, second.message
    assert second.champion_version == "1.0.0"
    assert second.data_size == (first.data_size or 0) + 1
    assert [verdict["gate"] for verdict in second.verdicts] == [
        "data_quality",
        "feature_quality",
        "latency",
        "api_health",
        "metrics",
    ]
    promoted = second.status is RunStatus.SUCCEEDED
    assert serving["version"] == (second.model_version if promoted else "1.0.0")
    recorded = get_run(services.engine, run_id)
    assert recorded is not None
    assert recorded.decision["action"] == ("PROMOTE" if promoted else "REFUSE")

    assert services.stop("scheduler") == 0
    # uvicorn stops cleanly and then passes the signal on, so that its parent sees it
    assert services.stop("api") in {0, -signal.SIGTERM}


def predict(client: httpx.Client, services: Services) -> dict[str, Any]:
    row = {
        "transaction_id": "seen-by-the-api",
        "user_id": "c00001",
        "merchant_id": "m00001",
        "amount": 42.5,
        "currency": "EUR",
        "transaction_type": "purchase",
        "event_time": isoformat(SystemClock().now_us()),
    }
    response = client.post("/predict", json=row, headers=bearer(services, Role.SCORER))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def give_feedback(client: httpx.Client, services: Services) -> None:
    labels = {"labels": [{"transaction_id": "seen-by-the-api", "label": 0}]}
    response = client.post("/feedback", json=labels, headers=bearer(services, Role.FEEDBACK))
    assert response.is_success, response.text


def labelled_decisions(services: Services) -> int | None:
    """How many scored rows the database has with a label; None while there are none."""
    query = select(func.count()).where(api_transaction_logs.c.label.is_not(None))
    with services.engine.connect() as connection:
        return connection.scalar(query) or None
