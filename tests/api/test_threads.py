"""Requests that wait for the database delay only requests of the same purpose."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
from sqlalchemy import text

from api.http.threads import THREADS
from api.settings import Settings
from shared.keys.tokens import Role
from shared.tables.engine import connect
from tests.api.bundles import Signer
from tests.api.server import Running, wait_until

# More than the framework has threads in all.
CROWD = 60


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """Somebody else writes, and does not come to an end."""
    engine = connect(settings.database_url.get_secret_value())
    with engine.connect() as held:
        held.execute(text("BEGIN IMMEDIATE"))
        try:
            yield
        finally:
            held.rollback()
    engine.dispose()


def test_a_rollback_does_not_stand_in_line_behind_labels(
    settings: Settings, signer: Signer
) -> None:
    labels = {"labels": [{"transaction_id": f"t{number}", "label": 1} for number in range(200)]}
    done = threading.Event()
    with Running(settings) as server, ThreadPoolExecutor(CROWD) as crowd:
        server.push(signer.bundle("1.0.1"), signer).raise_for_status()
        server.score(amount=1.0, transaction_id="t0")
        server.drained()

        def tell() -> None:
            with httpx.Client(base_url=server.url, timeout=60) as client:
                while not done.is_set():
                    client.post("/feedback", json=labels, headers=server.bearer(Role.FEEDBACK))

        with write_lock(settings):
            waiting = [crowd.submit(tell) for _ in range(CROWD)]
            wait_until(lambda: len(server.connections()) >= CROWD, seconds=30)
            time.sleep(0.2)
            begun = time.monotonic()
            for path in ("/livez", "/readyz", "/api/health", "/metrics", "/current_model"):
                assert server.client.get(path).status_code == 200
            assert server.rollback().json()["version"] == "1.0.0"
            # a busy lock is waited for longer than this
            assert time.monotonic() - begun < 10
            done.set()
        assert all(asked.result() is None for asked in waiting)


def test_an_endpoint_on_threads_of_its_own_keeps_its_parameters(steady: Running) -> None:
    paths = steady.client.get("/openapi.json").json()["paths"]
    assert "requestBody" in paths["/rollback_model"]["post"]
    assert [found["name"] for found in paths["/api/mlops/runs"]["get"]["parameters"]] == ["limit"]
    assert sum(THREADS.values()) < 40
