"""JOURNAL_COMMIT=database: an answer leaves once the database has its decision."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.settings import Settings
from api.wiring import build_service
from shared.clock import SystemClock
from shared.tables.engine import connect, migrate
from tests.api.bundles import Signer
from tests.api.mortal_postgres import MortalPostgres
from tests.api.server import Running, serve_settings, wait_until
from tests.api.tiny import TinyUseCase, count_rows, stored_rows
from tests.postgres import Postgres, postgres
from tests.support.api_on_postgresql import database
from tests.support.api_registries import NoSmoke

__all__ = ["database", "postgres"]
TIMEOUT = "urn:understudy:problem:commit-timeout"


def host(template: Path, folder: Path, url: str, **changes: Any) -> Running:
    """A machine of its own: nothing in common with others but the database."""
    shutil.copytree(template, folder)
    said: dict[str, Any] = {
        "journal_commit": "database",
        "database_url": SecretStr(url),
        # a busy machine takes its time
        "journal_commit_seconds": 60,
        "history_deadline_ms": 10_000,
    }
    return running(serve_settings(folder, **(said | changes)))


def running(settings: Settings) -> Running:
    service = build_service(settings, TinyUseCase(), SystemClock(), smoke=NoSmoke())
    server = Running(settings, service=service)
    server.client.timeout = httpx.Timeout(120)
    return server


def answered(server: Running, name: str) -> None:
    """Score a row, and again until it is committed."""
    wait_until(lambda: server.score(amount=1.0, transaction_id=name).status_code == 200, 60)


def serve_next_version(server: Running) -> None:
    signer = Signer(server.settings.keys_dir)
    assert server.push(signer.bundle("1.0.1"), signer).status_code == 200


@pytest.fixture
def url(postgres: Postgres) -> str:
    found = postgres.new_database()
    engine = connect(found)
    migrate(engine)
    engine.dispose()
    return found


@pytest.fixture
def hosts(template: Path, tmp_path: Path, url: str) -> Iterator[tuple[Running, Running]]:
    """Two hosts that serve two versions: their decisions about one row differ."""
    with host(template, tmp_path / "a", url) as first, host(template, tmp_path / "b", url) as other:
        for server in (first, other):
            serve_next_version(server)
        assert first.rollback().status_code == 200
        yield first, other


@contextmanager
def no_commits(url: str) -> Iterator[None]:
    """Rows can be read and none can be stored."""
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE APITransactionLogs IN EXCLUSIVE MODE"))
        yield
    engine.dispose()


def waits(server: Running, count: int) -> None:
    wait_until(lambda: server.service.journaling.journal.backlog == count, 60)


WAYS = {
    "fast path": lambda server: server.score(amount=1.0, transaction_id="t"),
    "ASGI": lambda server: server.client.post(
        "/score", json={"amount": 1.0, "transaction_id": "t"}, headers={"Origin": server.url}
    ),
    "batch": lambda server: server.client.post(
        "/score/batch", json={"instances": [{"amount": 1.0, "transaction_id": "t"}]}
    ),
}


@pytest.mark.parametrize(
    ("way", "threads", "drain_in"),
    [
        ("fast path", "auto", "thread"),
        ("ASGI", "auto", "thread"),
        ("batch", "auto", "process"),
        ("ASGI", "on", "thread"),
        ("batch", "on", "thread"),
    ],
)
def test_what_was_answered_is_in_the_database(
    template: Path, tmp_path: Path, way: str, threads: str, drain_in: str
) -> None:
    folder = tmp_path / "a"
    url = f"sqlite:///{folder / 'understudy.db'}"
    # a drain that is not asked for would come after the test
    changes = {"scoring_in_threads": threads, "journal_drain_in": drain_in}
    with host(template, folder, url, **changes, journal_drain_seconds=60) as server:
        answer = WAYS[way](server)
        assert answer.status_code == 200, answer.text
        assert [row["transaction_id"] for row in stored_rows(server.service.database.engine)] == [
            "t"
        ]


@pytest.mark.parametrize("way", WAYS)
def test_a_row_that_two_hosts_decide_at_once_gets_one_answer(
    hosts: tuple[Running, Running], url: str, way: str
) -> None:
    with ThreadPoolExecutor(2) as pool:
        with no_commits(url):
            asked = [pool.submit(WAYS[way], server) for server in hosts]
            for server in hosts:
                waits(server, 1)
            assert not any(one.done() for one in asked)
        first, other = (one.result() for one in asked)
    assert (first.status_code, first.json()["version"] is not None) == (200, True)
    assert _decision(first) == _decision(other)
    # and whoever asks later hears the same
    later = {str(_decision(WAYS[way](server))) for server in hosts}
    assert later == {str(_decision(first))}
    (stored,) = stored_rows(hosts[0].service.database.engine)
    assert stored["model_version"] == _decision(first)["version"]


def _decision(answer: httpx.Response) -> dict[str, Any]:
    said: dict[str, Any] = answer.json()
    return said["predictions"][0] if "predictions" in said else said


def test_an_id_that_two_hosts_decide_with_two_payloads_is_a_conflict_for_the_second(
    hosts: tuple[Running, Running], url: str
) -> None:
    with ThreadPoolExecutor(2) as pool:
        with no_commits(url):
            asked = [
                pool.submit(server.score, amount=amount, transaction_id="t")
                for server, amount in zip(hosts, (1.0, 2.0), strict=True)
            ]
            for server in hosts:
                waits(server, 1)
        answers = [one.result() for one in asked]
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert count_rows(hosts[0].service.database.engine) == 1


def test_a_retry_while_the_first_request_still_waits_waits_with_it(
    hosts: tuple[Running, Running], url: str
) -> None:
    first, _ = hosts
    with ThreadPoolExecutor(2) as pool:
        with no_commits(url):
            asked = [pool.submit(first.score, amount=1.0, transaction_id="t")]
            waits(first, 1)
            asked.append(pool.submit(first.score, amount=1.0, transaction_id="t"))
            time.sleep(0.1)
            assert not any(one.done() for one in asked)
        assert asked[0].result().json() == asked[1].result().json()
    assert count_rows(first.service.database.engine) == 1


def test_a_batch_decided_twice_answers_row_by_row_with_what_was_committed_first(
    hosts: tuple[Running, Running], url: str
) -> None:
    rows = [{"amount": float(n), "transaction_id": f"t{n}"} for n in range(5)]
    bodies: list[list[dict[str, Any]]] = [[*rows[:3], {"amount": 9.0}], [*rows[2:], {"amount": -1}]]
    with ThreadPoolExecutor(2) as pool:
        with no_commits(url):
            asked = [
                pool.submit(server.client.post, "/score/batch", json={"instances": body})
                for server, body in zip(hosts, bodies, strict=True)
            ]
            waits(hosts[0], 4)
            waits(hosts[1], 3)
        first, other = (one.result().json()["predictions"] for one in asked)
    assert first[2] == other[0]
    assert "error" in other[3]
    assert len(stored_rows(hosts[0].service.database.engine)) == 6


def test_while_the_database_is_away_a_caller_hears_of_it_and_a_retry_gets_the_decision(
    database: MortalPostgres, template: Path, tmp_path: Path
) -> None:
    url = database.server.url("postgres")
    with host(template, tmp_path / "a", url, journal_commit_seconds=0.5) as server:
        answered(server, "t1")
        database.kill()
        late = server.score(amount=1.0, transaction_id="t2")
        assert (late.status_code, late.json()["type"]) == (503, TIMEOUT)
        assert late.headers["Retry-After"] == "2"
        row = {"amount": 1.0, "transaction_id": "t2"}
        (told,) = server.client.post("/score/batch", json={"instances": [row]}).json()[
            "predictions"
        ]
        assert told["error"]["type"] == TIMEOUT
        database.start()
        wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)
        answered(server, "t2")
        assert count_rows(server.service.database.engine) == 2


def test_a_decision_recalled_after_a_crash_is_answered_once_it_is_committed(
    database: MortalPostgres, template: Path, tmp_path: Path
) -> None:
    url, folder = database.server.url("postgres"), tmp_path / "a"
    with ExitStack() as stack:
        server = stack.enter_context(host(template, folder, url, journal_commit_seconds=0.3))
        answered(server, "t0")
        database.kill()
        assert server.score(amount=1.0, transaction_id="t").status_code == 503
    with running(server.settings) as again:
        assert again.score(amount=1.0, transaction_id="t").json()["type"] == TIMEOUT
        database.start()
        wait_until(lambda: again.service.journaling.journal.backlog == 0, 60)
        answered(again, "t")
        assert count_rows(again.service.database.engine) == 2


def test_a_decision_of_a_version_that_is_not_on_this_host_yet_is_not_made_up(
    template: Path, tmp_path: Path, url: str
) -> None:
    with host(template, tmp_path / "a", url) as first, host(template, tmp_path / "b", url) as other:
        serve_next_version(other)
        said = other.score(amount=1.0, transaction_id="t")
        assert said.json()["version"] == "1.0.1"
        refused = first.score(amount=1.0, transaction_id="t")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert refused.json()["type"] == "urn:understudy:problem:version-unknown"
        serve_next_version(first)
        assert first.score(amount=1.0, transaction_id="t").json() == said.json()


def test_with_disk_both_hosts_answer_with_the_first_commit_once_it_is_drained(
    template: Path, tmp_path: Path, url: str
) -> None:
    with (
        host(template, tmp_path / "a", url, journal_commit="disk") as first,
        host(template, tmp_path / "b", url, journal_commit="disk") as other,
    ):
        for server in (first, other):
            serve_next_version(server)
        assert first.rollback().status_code == 200
        with no_commits(url):
            said = [server.score(amount=1.0, transaction_id="t") for server in (first, other)]
            # the price of answers that do not wait: this row was decided twice
            assert said[0].json()["version"] != said[1].json()["version"]
        for server in (first, other):
            waits(server, 0)
        (stored,) = stored_rows(first.service.database.engine)
        versions = {
            server.score(amount=1.0, transaction_id="t").json()["version"]
            for server in (first, other)
        }
        assert versions == {stored["model_version"]}
