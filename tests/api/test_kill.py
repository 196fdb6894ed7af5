"""A real server process is killed while it answers; what it had answered is never lost."""

import signal
import subprocess
import time

import httpx

from api.settings import Settings
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.api_processes import start

KILLS = 3


def send_until_it_dies(url: str, round_number: int, answered: list[str]) -> None:
    with httpx.Client(base_url=url, timeout=10) as client:
        for number in range(100_000):
            transaction_id = f"{round_number}-{number}"
            try:
                answer = client.post(
                    "/score", json={"amount": 1.0, "transaction_id": transaction_id}
                )
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                answered.append(transaction_id)


def test_a_killed_server_loses_no_answered_decision_and_counts_none_twice(
    settings: Settings,
) -> None:
    folder = settings.journal_dir.parent
    answered: list[str] = []
    for round_number in range(KILLS):
        child, url = start(folder)
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.{3 + round_number}; kill -9 {child.pid}"])
        send_until_it_dies(url, round_number, answered)
        assert child.wait(10) == -signal.SIGKILL
        killer.wait(10)
        assert child.stdout is not None
        child.stdout.close()
    with Running(settings) as server:
        wait_until(lambda: server.service.journaling.journal.backlog == 0)
        # A retry after the kill is answered as before.
        before = stored_rows(server.service.database.engine)
        assert server.score(amount=1.0, transaction_id=answered[-1]).json()["probability"] == 0.5
        server.drained()
        stored = [row["transaction_id"] for row in stored_rows(server.service.database.engine)]
    assert len(answered) > KILLS
    assert set(answered) <= set(stored)
    assert len(stored) == len(set(stored)) == len(before)


def test_told_to_stop_a_server_drains_its_journal_and_ends_well(settings: Settings) -> None:
    folder = settings.journal_dir.parent
    child, url = start(folder)
    with httpx.Client(base_url=url, timeout=10) as client:
        for _ in range(20):
            assert client.post("/score", json={"amount": 1.0}).status_code == 200
    asked = time.monotonic()
    child.terminate()
    assert child.wait(10) == 0
    assert time.monotonic() - asked < 10
    assert child.stdout is not None
    child.stdout.close()
    # Nothing is left for a next start: the database alone has all of it.
    with Running(settings) as server:
        assert server.service.journaling.journal.backlog == 0
        assert len(stored_rows(server.service.database.engine)) == 20
