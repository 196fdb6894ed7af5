"""Plain requests skip ASGI, with the same answers."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.callers import Caller, anonymous
from api.http.fast_path import protocol_for
from api.http.fast_routes import FastRoutes, ReplyConnection
from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.plain import Address, behind, talk, told
from tests.api.server import Running, serve_settings, wait_until
from tests.api.tiny import count_rows
from tests.support.raw_requests import LIVE, address_of, answers, request


def test_requests_of_both_ways_sent_without_waiting_are_answered_in_turn(steady: Running) -> None:
    wanted = [1.0, None, 2.0, 3.0, None, None, 4.0]
    sent = b"".join(LIVE if amount is None else request(amount) for amount in wanted)
    with talk(address_of(steady), sent) as connection:
        found = answers(connection, len(wanted))
    for amount, (status, body) in zip(wanted, found, strict=True):
        assert status == 200
        answer = orjson.loads(body)
        assert answer.get("probability") == (None if amount is None else amount / 2)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), max_size=6))
def test_a_request_may_come_in_pieces_of_any_size(steady: Running, cuts: list[int]) -> None:
    sent = request(1.0) + LIVE + request(2.0)
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    with talk(address_of(steady), b"") as connection:
        for begin, end in pairwise(edges):
            connection.sendall(sent[begin:end])
        first, _, last = answers(connection, 3)
    assert [orjson.loads(body)["probability"] for _, body in (first, last)] == [0.5, 1.0]


def test_many_connections_at_once_get_each_its_own_answer(serving: Running) -> None:
    def ask(number: int) -> bool:
        name = f"t{number % 40}"
        with httpx.Client(base_url=serving.url) as client:
            rows = [
                client.post("/score", json={"amount": number % 40, "transaction_id": name})
                for _ in range(3)
            ]
        texts = {row.text for row in rows}
        return len(texts) == 1 and rows[0].json()["transaction_id"] == name

    with ThreadPoolExecutor(16) as clients:
        assert all(clients.map(ask, range(80)))
    serving.drained()
    assert count_rows(serving.service.database.engine) == 40


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(1.0).replace(b"Host: localhost", b"Content-Encoding: gzip"), 415),
        (request(1.0).replace(b"application/json", b"text/plain"), 415),
        (request(1.0).replace(b"POST", b"PUT"), 405),
        (request(1.0).replace(b"/score", b"/score?x=1"), 200),
        (request(1.0).replace(b"/score", b"/sc%6fre"), 200),
        (request(1.0).replace(b"Host: localhost", b"Origin: http://elsewhere"), 403),
        (request(1.0).replace(b"\r\nContent-L", b"\r\nOrigin: http://localhost\r\nContent-L"), 200),
        (request(1.0).replace(b"\r\nContent-L", b"\r\nSec-Fetch-Site: none\r\nContent-L"), 200),
        (request(1.0).replace(b"Host: localhost", b"Connection: close"), 200),
        (request(1.0).replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
        (request(1.0).replace(b"1.0}", b"-1}").replace(b": 14", b": 13"), 422),
        (request(1.0, user_id="u" * 65_536), 413),
        (
            b"POST /score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/json\r\n\r\n5\r\n{\"amo\r\na\r\nunt\": 1.5}\r\n0\r\n\r\n",
            200,
        ),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_answered_as_ever(steady: Running, sent: bytes, status: int) -> None:
    with talk(address_of(steady), sent) as connection:
        ((found, _),) = answers(connection, 1)
    assert found == status


def test_both_ways_send_the_same_headers(steady: Running) -> None:
    short = steady.client.post("/score", json={"amount": 1.0})
    long = steady.client.post("/score?long", json={"amount": 1.0})
    assert short.status_code == long.status_code == 200
    names = [name for name, _ in short.headers.multi_items()]
    assert sorted(names) == sorted(name for name, _ in long.headers.multi_items())
    assert "date" in names
    refused = steady.client.post("/score", json={"amount": -1.0})
    refused_long = steady.client.post("/score?long", json={"amount": -1.0})
    assert refused.json() == refused_long.json()
    assert sorted(refused.headers) == sorted(refused_long.headers)


def test_a_way_that_asks_for_credentials_is_short_with_them_and_closed_without(
    settings: Settings,
) -> None:
    closed = serve_settings(settings.keys_dir.parent, scoring_auth="on")
    with Running(closed) as server:
        assert server.score(amount=1.0).status_code == 401
        wrong = server.client.post("/score", json={"amount": 1.0}, headers=server.bearer(Role.PUSH))
        assert wrong.status_code == 403
        right = server.client.post(
            "/score", json={"amount": 1.0}, headers=server.bearer(Role.SCORER)
        )
        assert right.status_code == 200


def test_a_request_that_is_half_here_when_the_server_stops_is_still_answered(
    settings: Settings,
) -> None:
    sent = request(1.0)
    with Running(settings) as server, talk(address_of(server), sent[:-4]) as connection:
        wait_until(lambda: len(server.connections()) == 1)
        server.stop()
        connection.sendall(sent[-4:])
        ((status, _),) = answers(connection, 1)
        assert status == 200
        assert connection.recv(1) == b""


def test_a_request_that_makes_no_sense_after_one_that_does_costs_it_no_answer(
    steady: Running,
) -> None:
    with talk(address_of(steady), request(1.0) + b"\0\0nonsense\r\n\r\n") as connection:
        content = told(connection, b'Invalid HTTP request received."}')
    assert b'"probability":0.5' in content


class Echo:
    """Answers with the body it got."""

    limit_bytes = 100

    def admits(self, headers: object) -> Caller:
        return anonymous(Role.SCORER, is_trusted=True)

    def take(self, body: bytes, caller: Caller, recipient: ReplyConnection) -> None:
        asyncio.get_running_loop().call_soon(recipient.answer, 200, b"", body)


@pytest.fixture
def impatient() -> Iterator[Address]:
    """A server that closes a connection it has not heard of for a second."""
    protocol = protocol_for(FastRoutes({b"/score": Echo()}))
    with behind(protocol, timeout_keep_alive=1) as address:
        yield address


def test_a_connection_is_closed_when_it_has_been_idle_for_long_and_not_before(
    impatient: Address,
) -> None:
    sent = request(1.0)
    with talk(impatient, b"") as connection, talk(impatient, sent[:-4]) as slow:
        for _ in range(4):
            connection.sendall(sent)
            assert answers(connection, 1) == [(200, b'{"amount":1.0}')]
            threading.Event().wait(0.4)
        connection.settimeout(10)
        assert connection.recv(1) == b""
        # a request under way is not idle
        slow.sendall(sent[-4:])
        assert answers(slow, 1) == [(200, b'{"amount":1.0}')]
