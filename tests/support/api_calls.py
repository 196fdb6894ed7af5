"""Calls of the API that several test modules make."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Engine, select

from shared.keys.tokens import Role
from shared.tables.schema import quarantined_transaction_logs as quarantine
from tests.api.server import Running
from tests.api.tiny import stored_rows


def alert(server: Running, version: str, status: str = "firing") -> httpx.Response:
    labels = {"alertname": "ScoreDrift", "model_version": version}
    item = {"status": status, "labels": labels, "annotations": {"summary": "it moved"}}
    payload = {"version": "4", "status": status, "receiver": "understudy", "alerts": [item]}
    return server.client.post("/alert", json=payload, headers=server.bearer(Role.ALERT))


def feedback(server: Running, *labels: dict[str, Any]) -> httpx.Response:
    headers = server.bearer(Role.FEEDBACK)
    return server.client.post("/feedback", json={"labels": list(labels)}, headers=headers)


def labels_of(server: Running) -> dict[str, tuple[Any, Any]]:
    rows = stored_rows(server.service.database.engine)
    return {row["transaction_id"]: (row["label"], row["label_source"]) for row in rows}


def quarantined_rows(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(quarantine)).mappings()]


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


CONFLICT = "urn:understudy:problem:idempotency-conflict"


def named(answer: httpx.Response) -> list[str]:
    body = answer.json()
    assert (answer.status_code, body["type"]) == (409, CONFLICT)
    return [error["field"] for error in body["errors"]]
