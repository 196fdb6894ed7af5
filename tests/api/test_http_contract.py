"""What the fast HTTP protocol promises, uvicorn's own behind its guard promises as well."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from api.http.connections import KIB, Bounds
from api.http.fast_routes import FastRoutes
from api.http.http_stack import HttpStack, http_stack
from native.catalogue import FAST_HTTP
from native.parts import Part
from tests.api.plain import BODY, Address, behind, talk, told
from tests.api.server import Running, serve_settings, wait_until
from tests.support.raw_requests import CHUNKED, FLOODS, GET, HASTY, HOST, asked, statuses

pytestmark = pytest.mark.coupling
PURE = Part("fast-http", without="", switched_off=lambda: "all")
EITHER = [pytest.param(FAST_HTTP, id="native"), pytest.param(PURE, id="pure")]


@pytest.fixture(scope="module", params=EITHER)
def part(request: pytest.FixtureRequest) -> Part:
    found: Part = request.param
    return found


@contextmanager
def served(part: Part, bounds: Bounds) -> Iterator[tuple[Address, HttpStack]]:
    stack = http_stack(FastRoutes(), bounds, part=part)
    incomplete = {"h11_max_incomplete_event_size": stack.incomplete_bytes}
    with behind(stack.protocol, stack.wrap, **incomplete) as address:
        yield address, stack


@pytest.fixture(scope="module")
def address(part: Part) -> Iterator[Address]:
    with served(part, Bounds()) as (address, _):
        yield address


@pytest.fixture
def hasty(part: Part) -> Iterator[tuple[Address, HttpStack]]:
    with served(part, HASTY) as found:
        yield found


@pytest.fixture(scope="module")
def service(
    part: Part, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("contract")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    with Running(serve_settings(folder), http=part) as server:
        yield server


@pytest.mark.parametrize("name", [name for name in FLOODS if name != "a chunk a byte"])
def test_what_has_no_end_is_refused_and_closed(address: Address, name: str) -> None:
    sent, _ = FLOODS[name]
    found = statuses(asked(address, sent))
    assert [status // 100 for status in found] in ([4], [])


def test_a_head_at_its_bounds_is_taken_whole_or_in_pieces(address: Address) -> None:
    lines = [b"A%d: %s\r\n" % (number, b"b" * 150) for number in range(98)]
    head = b"GET /%s HTTP/1.1\r\n" % (b"a" * 8_000) + HOST + b"".join(lines)
    for pieces in ([head + b"\r\n"], [head[:100], head[100:9_000], head[9_000:], b"\r\n"]):
        with talk(address, b"") as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.01)
            told(connection, BODY)


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b"", []),
        (b"GET / HTTP/1.1\r\nHos", [408]),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nhalf", [408]),
        (CHUNKED, [408]),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n" + b"x" * 50_000, [408]),
    ],
    ids=["silent", "half a head", "half a body", "no chunk", "most of a body"],
)
def test_a_request_that_stops_is_cut_off(
    hasty: tuple[Address, HttpStack], sent: bytes, wanted: list[int]
) -> None:
    assert statuses(asked(hasty[0], sent)) == wanted


def test_a_head_that_trickles_is_cut_off(hasty: tuple[Address, HttpStack]) -> None:
    with talk(hasty[0], GET) as connection:
        told(connection, BODY)
        with suppress(BrokenPipeError, ConnectionResetError):
            for byte in b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        connection.settimeout(20)
        with suppress(ConnectionResetError):
            assert statuses(connection.recv(65_536)) in ([408], [])


def test_answers_that_are_not_read_do_not_hold_a_connection(
    hasty: tuple[Address, HttpStack],
) -> None:
    address, stack = hasty
    with talk(address, b"") as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(1)
        with suppress(OSError):
            # more answers than the kernel keeps, and no more than a busy machine makes in time
            for _ in range(400):
                connection.sendall(GET * 30)
        wait_until(lambda: len(stack.pool) == 0, seconds=90)


def test_among_too_many_connections_the_silent_make_room(
    hasty: tuple[Address, HttpStack],
) -> None:
    with ExitStack() as held:
        for _ in range(3 * HASTY.connections):
            held.enter_context(talk(hasty[0], b"GET / HTT"))
        with talk(hasty[0], GET) as connection:
            told(connection, BODY)


def test_bodies_that_are_read_at_once_are_bounded_in_sum(part: Part) -> None:
    bounds = replace(HASTY, body_seconds=20, connections=64)
    large = b"POST /all HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n"
    with served(part, bounds) as (address, stack), ExitStack() as held:
        for _ in range(8):
            connection = held.enter_context(talk(address, large))
            with suppress(OSError):
                connection.sendall(b"x" * 150_000)
        wait_until(lambda: stack.pool.refused["busy"] > 0)
        assert stack.pool.body_bytes <= HASTY.body_buffer_bytes + 8 * 64 * KIB
        held.close()
        wait_until(lambda: len(stack.pool) == 0, seconds=20)
        assert stack.pool.body_bytes == 0


def test_requests_sent_without_waiting_are_answered_in_turn(address: Address) -> None:
    with talk(address, GET * 5) as connection:
        content = b""
        while content.count(BODY) < 5:
            content += connection.recv(65_536)
    assert content.count(b"HTTP/1.1 200") == 5


@pytest.mark.parametrize("sent", [b"x", b"{}", b"x" * 70_000])
def test_a_caller_who_asks_whether_to_go_on_is_told(address: Address, sent: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n"
    with talk(address, head % len(sent)) as connection:
        assert told(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(sent)
        told(connection, BODY)


def test_rows_are_scored_alike(service: Running) -> None:
    answers = [service.score(amount=float(amount)) for amount in (1, 2, 2)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.headers["x-model-version"] for answer in answers] == ["1.0.0"] * 3
    assert {frozenset(answer.json()) for answer in answers} == {frozenset(answers[0].json())}
    batch = service.client.post("/score/batch", json={"instances": [{"amount": 1.0}] * 3})
    assert len(batch.json()["predictions"]) == 3
    assert service.score(amount="much").status_code == 422


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/livez", {"Host": "evil.example"}, 421),
        ("/" + "a" * 9_000, {}, 414),
        ("/livez", {"A": "b" * 17_000}, 431),
        ("/livez", {f"A{number}": "b" for number in range(101)}, 431),
    ],
    ids=["host", "address", "header", "headers"],
)
def test_a_whole_head_beyond_a_bound_is_a_problem(
    service: Running, path: str, headers: dict[str, str], status: int
) -> None:
    answer = service.client.get(path, headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (status, "close")
    assert answer.json()["type"].startswith("urn:understudy:problem:")
    assert answer.headers["x-model-version"] == "1.0.0"


def test_the_service_counts_its_connections(service: Running) -> None:
    with httpx.Client(base_url=service.url) as client:
        client.get("/livez").raise_for_status()
        metrics = client.get("/metrics").text
    assert "understudy_connections_limit 1000.0" in metrics


def test_another_uvicorn_is_said_once_and_served_by_its_own_protocol() -> None:
    untested = Part("fast-http", without="slower", tested={"uvicorn": ("0.1",)})
    with capture_logs() as logs:
        stack = http_stack(FastRoutes(), Bounds(), part=untested)
    assert stack.protocol.__name__ == "GuardedProtocol"
    assert [(line["event"], line["part"]) for line in logs] == [
        ("native_part_not_in_use", "fast-http")
    ]
