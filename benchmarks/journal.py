"""Kills under load: what was answered is stored, once. `make bench-journal`

The real API process, with its drain in a process of its own, is killed with SIGKILL at random
instants while clients send rows without a pause; now and then the drain is killed first. Each
life begins on what the last one left. At the end the journal is drained and counted: every
answered id has to be in the database exactly once, the merchants' tiles have to count each row
once, and rows sent again in a later life have to be answered as they were.
"""

import argparse
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.constant_model import bundle
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving_world import push

KILLS = 200
CLIENTS = 4
RETRIED_EACH_LIFE = 5
BARS: dict[str, Bar] = {
    "kills": (">=", KILLS),
    "lost": ("==", 0),
    "doubled": ("==", 0),
    "answered_otherwise": ("==", 0),
}


@dataclass
class Answered:
    """Every row that got its 200, and what it said."""

    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    otherwise: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    asked = parser.parse_args()
    dice = random.Random(20_261)
    answered = Answered()
    with tempfile.TemporaryDirectory() as name, Services(Path(name)) as services:
        services.start_api()
        push(services.url, services.folder / "keys", bundle("1.0.0"))
        drains = sum(live_and_die(services, answered, dice, life) for life in range(asked.kills))
        retry(services, answered, dice)
        services.stop("api")
        figures = count(services, answered)
    figures |= {"kills": float(asked.kills), "drains_killed_first": float(drains)}
    finish("journal", figures, BARS)


def live_and_die(services: Services, answered: Answered, dice: random.Random, life: int) -> bool:
    """Load, a kill in the middle of it, and a new start; whether the drain was killed first."""
    pid = services.pid("api")
    clients = [
        threading.Thread(target=send, args=(services.port, f"{life}-{number}", answered))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    time.sleep(dice.uniform(0.0, 0.6))
    drain_first = dice.random() < 0.25 and kill_drain(pid)
    if drain_first:
        time.sleep(dice.uniform(0.0, 0.4))
    os.kill(pid, signal.SIGKILL)
    for client in clients:
        client.join()
    services.wait_for_end("api")
    services.start_api()
    retry(services, answered, dice)
    if life % 20 == 0:
        sys.stderr.write(f"{life + 1} kills, {len(answered.answers)} answers\n")
    return drain_first


def send(port: int, run: str, answered: Answered) -> None:
    """Rows one after the other until the server is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(1_000_000):
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


def post(connection: http.client.HTTPConnection, body: dict[str, Any]) -> bytes:
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/predict", json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {content.decode()}")
    return content


def kill_drain(parent: int) -> bool:
    """Kill the process that drains, if it has been started."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            os.kill(int(status.parent.name), signal.SIGKILL)
            return True
    return False


def retry(services: Services, answered: Answered, dice: random.Random) -> None:
    """Send some rows again: nothing new is decided, though their users have more rows by now."""
    connection = http.client.HTTPConnection("127.0.0.1", services.port, timeout=30)
    some = dice.sample(sorted(answered.answers), min(RETRIED_EACH_LIFE, len(answered.answers)))
    for transaction_id in some:
        answer = post(connection, answered.bodies[transaction_id])
        answered.otherwise += answer != answered.answers[transaction_id]
    connection.close()


def count(services: Services, answered: Answered) -> dict[str, float]:
    with services.engine.connect() as connection:
        stored = list(connection.scalars(text("SELECT transaction_id FROM apitransactionlogs")))
        tiled = connection.scalar(text("SELECT sum(rows) FROM merchanttiles WHERE kind = 'row'"))
    aside = list((services.folder / "journal").rglob("set-aside.jsonl"))
    return {
        "answered": float(len(answered.answers)),
        "stored": float(len(stored)),
        "lost": float(len(answered.answers.keys() - set(stored)) + len(aside)),
        "doubled": float(len(stored) - len(set(stored)) + abs((tiled or 0) - len(stored))),
        "answered_otherwise": float(answered.otherwise),
    }


if __name__ == "__main__":
    main()
