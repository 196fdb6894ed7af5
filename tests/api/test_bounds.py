"""Limits of a connection before authentication, and the answers when they are exceeded."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from api.http.connections import KIB, Bounds
from api.http.fast_path import FastPathProtocol, protocol_for
from api.http.fast_routes import FastRoutes
from api.settings import Settings
from tests.api.plain import BODY, Address, behind, talk, told
from tests.api.server import Running, wait_until
from tests.support.raw_requests import (
    CHUNKED,
    FLOODS,
    GET,
    HASTY,
    HOST,
    asked,
    everything,
    statuses,
)


def bounded(bounds: Bounds) -> type[FastPathProtocol]:
    return protocol_for(FastRoutes(), bounds)


@pytest.fixture(scope="module")
def protocol() -> type[FastPathProtocol]:
    return bounded(Bounds())


@pytest.fixture(scope="module")
def address(protocol: type[FastPathProtocol]) -> Iterator[Address]:
    with behind(protocol) as address:
        yield address


@pytest.fixture
def hasty() -> Iterator[Address]:
    with behind(bounded(HASTY)) as address:
        yield address


@pytest.mark.parametrize(("sent", "status"), FLOODS.values(), ids=FLOODS)
def test_what_has_no_end_is_refused_and_closed(address: Address, sent: bytes, status: int) -> None:
    content = asked(address, sent)
    assert statuses(content) == [status]
    assert b"urn:understudy:problem:" in content
    assert b"connection: close" in content


def test_a_head_at_its_bounds_is_taken_whole_or_in_pieces(address: Address) -> None:
    lines = [b"A%d: %s\r\n" % (number, b"b" * 150) for number in range(98)]
    head = b"GET /%s HTTP/1.1\r\n" % (b"a" * 8_000) + HOST + b"".join(lines)
    assert len(head) < Bounds().head_bytes
    for pieces in ([head + b"\r\n"], [head[:100], head[100:9_000], head[9_000:], b"\r\n"]):
        with talk(address, b"") as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.01)
            told(connection, BODY)


def test_small_trailers_and_extensions_are_read_over(address: Address) -> None:
    sent = CHUNKED + b"1;a=b\r\nx\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    with talk(address, sent) as connection:
        told(connection, BODY)
        connection.sendall(GET)
        told(connection, BODY)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHos",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
        CHUNKED,
        b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b"x" * 50_000,
    ],
    ids=["silent", "half a head", "half a body", "no chunk", "most of a body"],
)
def test_who_does_not_go_on_is_cut_off(hasty: Address, sent: bytes) -> None:
    assert statuses(asked(hasty, sent)) == ([408] if sent else [])


def test_a_head_that_trickles_is_cut_off(hasty: Address) -> None:
    with talk(hasty, GET) as connection:
        told(connection, BODY)
        begun = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            for byte in b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert statuses(everything(connection)) == [408]
        assert time.monotonic() - begun < 15


def test_an_idle_connection_outlives_the_pools_of_clients_and_is_closed_after_its_setting(
    settings: Settings,
) -> None:
    # httpx keeps a connection for 5 s, HAProxy and AWS's load balancer for 60
    assert settings.keep_alive_seconds > 60
    with Running(settings.model_copy(update={"keep_alive_seconds": 1})) as server:
        assert server.score(amount=1.0).status_code == 200
        assert server.connections()
        wait_until(lambda: not server.connections())
        assert server.score(amount=2.0).status_code == 200


def test_who_does_not_read_answers_is_cut_off() -> None:
    protocol = bounded(HASTY)
    with behind(protocol) as address, talk(address, b"") as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(1)
        with suppress(OSError):
            while True:
                connection.sendall(GET * 30)
        wait_until(lambda: len(protocol.pool) == 0, seconds=20)


def test_a_body_without_end_is_not_read_on_once_it_is_answered(steady: Running) -> None:
    host, port = steady.url.removeprefix("http://").split(":")
    head = b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 100000000\r\n\r\n"
    with talk((host, int(port)), head) as connection:
        connection.settimeout(20)
        with pytest.raises(ConnectionError):
            connection.sendall(bytes(99_000_000))


def test_requests_sent_far_ahead_of_their_answers_are_not_kept() -> None:
    bounds = replace(Bounds(), pipelined=3)
    slow = b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n"
    with behind(bounded(bounds)) as address:
        found = statuses(asked(address, slow * 2_000))
    assert 0 < len(found) <= bounds.pipelined + 2
    assert set(found) <= {200, 503}


def test_among_too_many_connections_the_silent_make_room(hasty: Address) -> None:
    with ExitStack() as held:
        for _ in range(3 * HASTY.connections):
            held.enter_context(talk(hasty, b"GET / HTT"))
        with talk(hasty, GET) as connection:
            told(connection, BODY)


def test_connections_that_wait_for_an_answer_are_not_dropped_for_others(hasty: Address) -> None:
    slow = b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n"
    with ExitStack() as held:
        waiting = [held.enter_context(talk(hasty, slow)) for _ in range(HASTY.connections)]
        time.sleep(0.05)
        late = statuses(asked(hasty, b""))
        for connection in waiting:
            assert told(connection, BODY).startswith(b"HTTP/1.1 200")
    assert late in ([503], [])


def test_bodies_that_are_read_at_once_are_bounded_in_sum() -> None:
    protocol = bounded(replace(HASTY, body_seconds=20, connections=64))
    large = b"POST /all HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n"
    with behind(protocol) as address, ExitStack() as held:
        for _ in range(8):
            connection = held.enter_context(talk(address, large))
            with suppress(OSError):
                connection.sendall(b"x" * 150_000)
        wait_until(lambda: protocol.pool.refused["busy"] > 0)
        assert protocol.pool.body_bytes <= HASTY.body_buffer_bytes + 8 * 64 * KIB
    wait_until(lambda: len(protocol.pool) == 0, seconds=20)
    assert protocol.pool.body_bytes == 0


def test_nobody_waits_long_beside_floods(address: Address) -> None:
    """Not a measurement: a header of some MB used to hold every other answer for seconds."""
    floods = [sent for sent, _ in FLOODS.values()]
    with ThreadPoolExecutor(4) as attackers, talk(address, b"") as connection:
        running = [attackers.submit(asked, address, sent) for sent in floods * 2]
        longest = 0.0
        while not all(flood.done() for flood in running):
            begun = time.monotonic()
            connection.sendall(GET)
            told(connection, BODY)
            longest = max(longest, time.monotonic() - begun)
    assert longest < 2
