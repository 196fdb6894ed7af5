"""HAProxy by the shipped configuration sends rows of one entity to one host, whatever happens."""

import http.server
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from benchmarks.hosts_world import CONFIGURATION, Balancer, haproxy

pytestmark = pytest.mark.skipif(
    haproxy() is None and os.environ.get("CI") != "true", reason="haproxy is not on this machine"
)
BOTH_UP = {"api_1": "UP", "api_2": "UP"}


class MortalServer(http.server.ThreadingHTTPServer):
    """A server whose end takes its open connections along, as that of a process does."""

    daemon_threads = True

    def __init__(self, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that left are not a fault."""

    def die(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class EchoHost:
    """Stands for an API host: tells its name, and dies without an answer when it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[tuple[str, str]] = []
        self.is_ready = True
        self.dies_at_rows = False
        self.seconds_a_row = 0.0
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                ready = host.is_ready or self.path != "/readyz"
                self._answer(200 if ready else 503)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                host.asked.append((self.path, body))
                time.sleep(host.seconds_a_row)
                if host.dies_at_rows:
                    self.close_connection = True
                    return
                self._answer(200)

            def _answer(self, status: int) -> None:
                said = json.dumps({"host": host.name}).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        self._server = MortalServer(Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> "EchoHost":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.die()


@pytest.fixture
def hosts() -> Iterator[tuple[EchoHost, EchoHost]]:
    with EchoHost("api-1") as first, EchoHost("api-2") as second:
        yield first, second


@pytest.fixture
def balancer(hosts: tuple[EchoHost, EchoHost]) -> Iterator[Balancer]:
    with Balancer([host.address for host in hosts]) as balancer:
        balancer.wait_for(**BOTH_UP)
        yield balancer


def ask(balancer: Balancer, path: str = "/predict", **body: Any) -> httpx.Response:
    return httpx.post(f"{balancer.url}{path}", json=body, timeout=20)


def row(user: str, number: int = 0) -> dict[str, Any]:
    return {"user_id": user, "transaction_id": f"{user}-{number}", "amount": 1.0}


def hosts_of(balancer: Balancer, users: int, times: int = 1) -> dict[str, set[str]]:
    """Which hosts answered rows of each user."""
    found: dict[str, set[str]] = {}
    with httpx.Client(base_url=balancer.url, timeout=20) as client:
        for number in range(times):
            for user in (f"u{n}" for n in range(users)):
                answer = client.post("/predict", json=row(user, number))
                assert answer.status_code == 200
                assert answer.headers["x-api-host"] == answer.json()["host"]
                found.setdefault(user, set()).add(answer.json()["host"])
    return found


@pytest.mark.parametrize("variables", [{}, {"ENTITY_FIELD": "customer", "ROW_ID_FIELD": "id"}])
def test_the_shipped_configuration_is_one_that_haproxy_takes(variables: dict[str, str]) -> None:
    places = {"API_1": "127.0.0.1:81", "API_2": "127.0.0.1:82", **variables}
    done = subprocess.run(
        [str(haproxy()), "-c", "-f", CONFIGURATION],
        env={**os.environ, **places}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower()


def test_rows_of_one_entity_reach_one_host_and_both_hosts_have_entities(balancer: Balancer) -> None:
    found = hosts_of(balancer, users=40, times=3)
    assert all(len(names) == 1 for names in found.values())
    assert set.union(*found.values()) == {"api-1", "api-2"}


def test_rows_of_a_few_callers_at_once_do_not_leave_the_host_of_their_entity(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    owners = hosts_of(balancer, users=12)
    (name,) = owners["u0"]
    users = [user for user, names in owners.items() if names == {name}]
    for host in hosts:
        host.seconds_a_row = 0.05

    def answered_by(user: str) -> set[str]:
        return {ask(balancer, **row(user, number)).json()["host"] for number in range(5)}

    # all requests under way are of one host
    with ThreadPoolExecutor(len(users)) as pool:
        assert set.union(*pool.map(answered_by, users)) == {name}


def test_another_route_and_a_batch_of_an_entity_reach_the_same_host(balancer: Balancer) -> None:
    for user in (f"u{n}" for n in range(10)):
        one = ask(balancer, **row(user)).json()["host"]
        assert ask(balancer, "/api/analyze-transaction", **row(user)).json()["host"] == one
        batch = [row(user), row("somebody-else")]
        assert ask(balancer, "/predict/batch", instances=batch).json()["host"] == one


def test_a_batch_that_is_longer_than_the_buffer_goes_by_its_first_row(balancer: Balancer) -> None:
    for user in ("u0", "u1", "u2", "u3"):
        batch = [row(user, number) for number in range(3_000)]
        answer = ask(balancer, "/predict/batch", instances=batch)
        assert answer.json()["host"] == ask(balancer, **row(user)).json()["host"]


def test_a_declared_use_case_names_its_entity(hosts: tuple[EchoHost, EchoHost]) -> None:
    fields = {"ENTITY_FIELD": "customer", "ROW_ID_FIELD": "id"}
    with Balancer([host.address for host in hosts], **fields) as balancer:
        balancer.wait_for(**BOTH_UP)
        for customer in (f"c{n}" for n in range(10)):
            said = [ask(balancer, customer=customer, id=str(n)).json()["host"] for n in range(4)]
            assert len(set(said)) == 1


def test_a_host_that_is_gone_costs_one_retry_and_moves_only_its_own_entities(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    before = hosts_of(balancer, users=40)
    hosts[0].stop()
    after = hosts_of(balancer, users=40)
    assert all(names == {"api-2"} for names in after.values())
    assert any(names == {"api-1"} for names in before.values())


def test_a_host_that_dies_with_a_row_is_answered_for_by_the_other(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    owner_of = {user: names.pop() for user, names in hosts_of(balancer, users=20).items()}
    user = next(user for user, owner in owner_of.items() if owner == "api-1")
    hosts[0].dies_at_rows = True
    assert ask(balancer, **row(user, 7)).json()["host"] == "api-2"
    assert [body for _, body in hosts[0].asked if f"{user}-7" in body]


def test_a_row_without_an_id_is_not_sent_twice(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    for host in hosts:
        host.dies_at_rows = True
    answer = ask(balancer, user_id="u", amount=1.0)
    assert answer.status_code in {502, 503}
    assert sum(len(host.asked) for host in hosts) == 1


def test_a_host_that_is_not_ready_gets_no_rows_until_it_is(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    before = hosts_of(balancer, users=20)
    hosts[1].is_ready = False
    balancer.wait_for(api_1="UP", api_2="DOWN")
    assert set.union(*hosts_of(balancer, users=20).values()) == {"api-1"}
    hosts[1].is_ready = True
    balancer.wait_for(**BOTH_UP)
    assert hosts_of(balancer, users=20) == before


def test_the_first_model_is_pushed_to_a_host_that_is_alive_though_none_takes_rows(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    for host in hosts:
        host.is_ready = False
    balancer.wait_for(api_1="DOWN", api_2="DOWN")
    assert ask(balancer, **row("u0")).status_code == 503
    assert httpx.get(f"{balancer.url}/readyz", timeout=20).status_code == 503
    assert ask(balancer, "/update_model").json()["host"] == "api-1"
    # once one has it, the other one does not answer that there is no model
    hosts[1].is_ready = True
    deadline = time.monotonic() + 60
    while httpx.get(f"{balancer.url}/current_model", timeout=20).json()["host"] != "api-2":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_operators_reach_one_host_and_the_next_when_it_is_gone(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    paths = ["/api/health", "/current_model", "/models"]
    said = {httpx.get(f"{balancer.url}{path}").json()["host"] for path in paths}
    said |= {ask(balancer, path).json()["host"] for path in ("/rollback_model", "/feedback")}
    assert said == {"api-1"}
    assert httpx.get(f"{balancer.url}/metrics").status_code == 404
    hosts[0].stop()
    balancer.wait_for(api_1="DOWN", api_2="UP")
    assert ask(balancer, "/rollback_model").json()["host"] == "api-2"


def test_a_push_that_fails_on_the_way_is_not_repeated_on_another_host(
    hosts: tuple[EchoHost, EchoHost], balancer: Balancer
) -> None:
    hosts[0].dies_at_rows = True
    assert ask(balancer, "/update_model").status_code in {502, 503}
    assert hosts[1].asked == []
