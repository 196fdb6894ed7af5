"""Head and body leave together, and a head without a body leaves all the same."""

from collections.abc import Iterator

import pytest

from api.http.coalesced_write import CoalescedWriteProtocol
from tests.api.plain import BODY, Address, behind, talk, told


@pytest.fixture
def address() -> Iterator[Address]:
    with behind(CoalescedWriteProtocol) as address:
        yield address


@pytest.mark.parametrize("path", ["/", "/slow"])
def test_a_body_follows_its_head(address: Address, path: str) -> None:
    with talk(address, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as connection:
        content = told(connection, BODY)
    assert content.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/"), ("GET", "/empty")])
def test_a_head_without_a_body_is_not_held_back(address: Address, method: str, path: str) -> None:
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with talk(address, request) as connection:
        assert told(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told(connection, BODY)


def test_the_last_chunk_looks_like_the_end_of_a_head_and_is_none(address: Address) -> None:
    with talk(address, b"GET /chunked HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        assert BODY in told(connection, b"0\r\n\r\n")


def test_a_caller_who_asks_whether_to_go_on_is_told(address: Address) -> None:
    request = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    with talk(address, request) as connection:
        assert told(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(b"{}")
        told(connection, BODY)


def test_requests_sent_without_waiting_are_answered_in_turn(address: Address) -> None:
    with talk(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5) as connection:
        content = b""
        while content.count(BODY) < 5:
            content += connection.recv(65_536)
    assert content.count(b"HTTP/1.1 200") == 5
