"""Rows sent to a service that is about to die, and what came of them."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from benchmarks.services import Services

CLIENTS = 4
RETRIED_EACH_LIFE = 5


@dataclass
class AnsweredRows:
    """Every row that was answered with 200, and the answer."""

    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    at_us: dict[str, int] = field(default_factory=dict)
    otherwise: int = 0


def start_clients(port: int, run: str, answered: AnsweredRows) -> list[threading.Thread]:
    """Clients that send without a pause until the server is gone."""
    clients = [
        threading.Thread(target=send, args=(port, f"{run}-{number}", answered))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    return clients


def send(port: int, run: str, answered: AnsweredRows, rows: int = 1_000_000) -> None:
    """Rows one after the other until the server is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(rows):
        transaction_id = f"{run}-{number}"
        body: dict[str, Any] = {
            "transaction_id": transaction_id,
            "user_id": f"u{number % 40}",
            "merchant_id": f"m{number % 7}",
            "amount": float(number % 90),
        }
        try:
            answer = post(connection, body)
        except (OSError, http.client.HTTPException):
            return
        answered.bodies[transaction_id] = body
        answered.answers[transaction_id] = answer
        answered.at_us[transaction_id] = time.time_ns() // 1_000
    connection.close()


def post(connection: http.client.HTTPConnection, body: dict[str, Any]) -> bytes:
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/predict", json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {content.decode()}")
    return content


def retry(services: Services, answered: AnsweredRows, dice: random.Random) -> None:
    """Send some rows again: nothing new is decided, though their users have more rows by now."""
    connection = http.client.HTTPConnection("127.0.0.1", services.port, timeout=30)
    some = dice.sample(sorted(answered.answers), min(RETRIED_EACH_LIFE, len(answered.answers)))
    for transaction_id in some:
        answer = post(connection, answered.bodies[transaction_id])
        answered.otherwise += answer != answered.answers[transaction_id]
    connection.close()


def stored_ids(services: Services) -> list[str]:
    with services.engine.connect() as connection:
        return list(connection.scalars(text("SELECT transaction_id FROM apitransactionlogs")))


def doubled(services: Services, stored: list[str]) -> float:
    """Rows that are there twice, or that their merchants' tiles do not count once."""
    with services.engine.connect() as connection:
        tiled = connection.scalar(text("SELECT sum(rows) FROM merchanttiles WHERE kind = 'row'"))
    return float(len(stored) - len(set(stored)) + abs((tiled or 0) - len(stored)))


def dead_letters(services: Services) -> int:
    """Files of records that the database would not take."""
    found = (services.folder / "journal").rglob("set-aside*.jsonl")
    return sum(path.is_file() for path in found)


def figures_of(services: Services, prefix: str) -> dict[str, float]:
    """Series of /metrics that begin so."""
    connection = http.client.HTTPConnection("127.0.0.1", services.port, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    found = (line.rsplit(" ", 1) for line in lines if line.startswith(prefix))
    return {name: float(value) for name, value in found}


def wait_until_drained(services: Services) -> None:
    def empty() -> bool | None:
        return (
            figures_of(services, "understudy_journal_backlog")["understudy_journal_backlog"] == 0
            or None
        )

    services.wait_for(empty, timeout_seconds=60)
