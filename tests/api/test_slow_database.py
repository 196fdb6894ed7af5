"""A slow PostgreSQL: rows are scored in time without history, and this is reported."""

import os
import shutil
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.scoring.pipeline import WITHOUT_HISTORY
from api.wiring import build_service
from shared.clock import SystemClock
from shared.tables.engine import connect
from tests.api.bundles import Signer
from tests.api.mortal_postgres import MortalPostgres
from tests.api.server import Running, serve_settings, wait_until
from tests.api.tiny import stored_rows
from tests.pooler import running_pooler
from tests.postgres import Postgres
from tests.support.api_on_postgresql import USE_CASE, bundle, database, predict
from tests.support.api_registries import NoSmoke

pytestmark = pytest.mark.slow

__all__ = ["database"]

TABLES = "transactionhistorylogs, apitransactionlogs, merchanttiles"


@pytest.fixture(params=["direct", "pooled"])
def server(
    request: pytest.FixtureRequest, database: MortalPostgres, template: Path, tmp_path: Path
) -> Iterator[Running]:
    url = database.server.url("postgres")
    if request.param == "direct":
        with _serving(url, template, tmp_path) as running:
            yield running
        return
    # a server connection for each that waits, as an operator of a real one has
    sizes = ("default_pool_size = 20", "ignore_startup_parameters = options")
    with (
        running_pooler(Postgres(database.server.folder), *sizes) as pooler,
        _serving(pooler.through(url), template, tmp_path) as running,
    ):
        yield running


@contextmanager
def _serving(url: str, template: Path, folder: Path) -> Iterator[Running]:
    shutil.copytree(template, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "prod_models")
    settings = serve_settings(folder, database_url=SecretStr(url), history_deadline_ms=300)
    service = build_service(settings, USE_CASE, SystemClock(), smoke=NoSmoke())
    with Running(settings, service=service) as running:
        signer = Signer(settings.keys_dir)
        assert running.push(bundle(signer), signer).status_code == 200
        predict(running, "warm-1")
        running.drained()
        predict(running, "warm-2")
        running.drained()
        yield running


@contextmanager
def locked_tables(database: MortalPostgres) -> Iterator[None]:
    """As a migration, VACUUM FULL or a forgotten transaction in a console leaves them."""
    engine = connect(database.server.url("postgres"))
    with engine.connect() as connection:
        connection.execute(text(f"LOCK TABLE {TABLES} IN ACCESS EXCLUSIVE MODE"))
        yield
        connection.rollback()
    engine.dispose()


@contextmanager
def standing_still(database: MortalPostgres) -> Iterator[None]:
    """No process of the server runs, and none refuses anything either."""
    pids = processes_of(database)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def processes_of(database: MortalPostgres) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = status.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = (status.parent / "stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        found.append((int(status.parent.name), int(parent), command))
    (main,) = [pid for pid, _, command in found if f"-k {database.server.folder} " in command]
    return [main, *[pid for pid, parent, _ in found if parent == main]]


def ready(server: Running) -> dict[str, Any]:
    answer = server.client.get("/readyz")
    assert answer.status_code == 200
    said: dict[str, Any] = answer.json()
    return said


def seconds_of_requests(server: Running, count: int) -> list[float]:
    taken = []
    for number in range(count):
        began = time.monotonic()
        predict(server, f"slow-{number}", user=f"u{number % 3}")
        taken.append(time.monotonic() - began)
    return taken


def test_of_a_locked_table_one_request_a_second_is_delayed_and_once(
    server: Running, database: MortalPostgres
) -> None:
    assert ready(server)["history"] is None
    with locked_tables(database):
        taken = seconds_of_requests(server, 40)
        # all that a request reads, not each statement; generous for a machine that is busy
        assert max(taken) < 3.0
        assert statistics.median(taken) < 0.25
        assert "without what the database knows" in ready(server)["history"]
        component = server.client.get("/api/health").json()["components"]["history"]
        assert component["state"] == "degraded"
        assert component["figures"]["missed_reads"] > 0
        told = server.client.get("/metrics").text
        assert "understudy_history_unreadable 1.0" in told
        assert "understudy_rows_without_history_total 40.0" in told
    wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)
    wait_until(
        lambda: predict(server, f"{time.time()}").is_success and ready(server)["history"] is None,
        20,
    )
    marked = {
        row["transaction_id"]
        for row in stored_rows(server.service.database.engine)
        if WITHOUT_HISTORY in (row["reason_codes"] or [])
    }
    assert {f"slow-{number}" for number in range(40)} <= marked
    assert not marked & {"warm-1", "warm-2"}


def test_callers_that_come_together_are_not_delayed_one_after_the_other(
    server: Running, database: MortalPostgres
) -> None:
    taken: list[float] = []

    def ask(name: str) -> None:
        began = time.monotonic()
        predict(server, name, user=name)
        taken.append(time.monotonic() - began)

    with locked_tables(database):
        threads = [threading.Thread(target=ask, args=(f"c{number}",)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(taken) == 24
    assert max(taken) < 4.0


def test_a_server_that_stands_still_delays_nobody_for_longer(
    server: Running, database: MortalPostgres
) -> None:
    with standing_still(database):
        taken = seconds_of_requests(server, 20)
        assert max(taken) < 3.0
        assert ready(server)["history"] is not None
    wait_until(
        lambda: predict(server, f"{time.time()}").is_success and ready(server)["history"] is None,
        30,
    )
