"""Rows sent through HAProxy while hosts die, each sent once more where it was not answered."""

import http.client
import json
import random
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

from benchmarks.journal_load import AnsweredRows

CLIENTS, USERS = 4, 40
_HEADERS = {"Content-Type": "application/json"}


@dataclass
class Sent:
    """The fate of the rows.

    Attributes:
        owners: the host that answered each user last.
        hosts: the host that answered each row.
        failed: rows without a good answer after one retry.
        reasons: why, by status or kind of error.
    """

    rows: AnsweredRows = field(default_factory=AnsweredRows)
    owners: dict[str, str] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    retried: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Clients(ABC):
    """`with clients:` they send without a pause until the block ends."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _send(self, client: int) -> None:
        number = 0
        while not self._stopping.is_set():
            self.send(client, number)
            number += 1

    @abstractmethod
    def send(self, client: int, number: int) -> None:
        """Send one row of this client."""


class RetryingClients(Clients):
    """Each row is sent once more where it was not answered; `sent` has their fate."""

    def __init__(self, port: int, run: str, sent: Sent, users: str = "u") -> None:
        super().__init__()
        self._port, self._run, self._sent, self._users = port, run, sent, users

    def send(self, client: int, number: int) -> None:
        body = row(f"{self._run}-{client}-{number}", number, self._users)
        send_row(self._port, body, self._sent)


def row(transaction_id: str, number: int, users: str = "u") -> dict[str, Any]:
    """A row of one of USERS users, whose names begin so."""
    return {
        "transaction_id": transaction_id,
        "user_id": f"{users}{number % USERS}",
        "merchant_id": f"m{number % 7}",
        "amount": float(number % 90),
    }


_own = threading.local()


def send_row(port: int, body: dict[str, Any], sent: Sent) -> bool:
    """Send a row, and once more where it is not answered; whether it was."""
    for attempt in range(2):
        status, owner, answer = ask(port, body)
        if status == 200:
            with sent.lock:
                sent.rows.bodies[body["transaction_id"]] = body
                sent.rows.answers[body["transaction_id"]] = answer
                sent.owners[body["user_id"]] = owner
                sent.hosts[body["transaction_id"]] = owner
            return True
        with sent.lock:
            sent.retried += attempt == 0
    with sent.lock:
        sent.failed += 1
        reason = f"{status} {answer.decode(errors='replace')[:80]}"
        sent.reasons[reason] = sent.reasons.get(reason, 0) + 1
    return False


def ask(port: int, body: dict[str, Any]) -> tuple[int, str, bytes]:
    """Status, the host that answered, and the answer; status 0: no answer came."""
    connection = getattr(_own, "connection", None)
    if connection is None or connection.port != port:
        connection = _own.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/predict", json.dumps(body), _HEADERS)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return 0, "", type(error).__name__.encode()
    return answer.status, answer.headers.get("X-Api-Host", ""), content


def first_good_answer(port: int, user: str, run: str, sent: Sent) -> float:
    """Seconds until a row of this user is answered."""
    began = time.monotonic()
    number = 0
    while True:
        body = {**row(f"{run}-{number}", 0), "user_id": user}
        if send_row(port, body, sent):
            return time.monotonic() - began
        number += 1
        if time.monotonic() - began > 60:
            return float("inf")


def send_again(port: int, sent: Sent, dice: random.Random, count: int) -> None:
    """Send some answered rows again, the newest among them: each has its answer already."""
    with sent.lock:
        answers = dict(sent.rows.answers)
    newest = list(answers)[-count:]
    for transaction_id in {*newest, *dice.sample(sorted(answers), min(count, len(answers)))}:
        status, _, answer = ask(port, sent.rows.bodies[transaction_id])
        if status == 200:
            sent.rows.otherwise += answer != answers[transaction_id]
