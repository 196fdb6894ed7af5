"""The API client over a real socket: what it understands, and what it refuses to guess."""

import socket
from collections.abc import Iterator

import pytest

from scheduler.scoring_api import ApiUnavailable, HttpScoringApi, Serving
from shared.bundle.version import Version
from tests.scheduler.standin_api import StandInApi, standin_api


@pytest.fixture
def server() -> Iterator[StandInApi]:
    with standin_api() as server:
        yield server


@pytest.fixture
def client(server: StandInApi) -> Iterator[HttpScoringApi]:
    client = HttpScoringApi(server.url, "push-token", 2.0, 2.0)
    yield client
    client.close()


def test_no_model_yet_is_told_apart_from_trouble(
    client: HttpScoringApi, server: StandInApi
) -> None:
    assert client.current() is None
    for trouble in ((503, {"type": "other"}), (503, b"<html>"), (200, b"[]"), (500, {})):
        server.answers["/current_model"] = trouble
        with pytest.raises(ApiUnavailable):
            client.current()


def test_the_serving_version_is_read(client: HttpScoringApi, server: StandInApi) -> None:
    server.answers["/current_model"] = (200, {"version": "1.2.3", "sha256": "ab"})
    assert client.current() == Serving("1.2.3", "ab")


def test_all_versions_are_read(client: HttpScoringApi, server: StandInApi) -> None:
    server.answers["/models"] = (200, {"models": [{"version": "1.0.0"}, {"version": "1.0.1"}]})
    assert client.known_versions() == {Version(1, 0, 0), Version(1, 0, 1)}


def test_a_push_carries_the_bytes_the_token_and_the_signature(
    client: HttpScoringApi, server: StandInApi
) -> None:
    server.answers["/update_model"] = (200, {"version": "1.0.0", "previous": None})
    answer = client.push(b"raw", "key:sig")

    assert answer.accepted
    path, headers, body = server.received[-1]
    assert (path, body) == ("/update_model", b"raw")
    assert headers["authorization"] == "Bearer push-token"
    assert headers["x-bundle-signature"] == "key:sig"


def test_a_push_that_not_all_workers_followed_is_told_apart_and_says_who_did_not(
    client: HttpScoringApi, server: StandInApi
) -> None:
    workers = {"serving": 1, "total": 2, "failed": [{"worker": 1, "reason": "unknown key"}]}
    answer = {"version": "1.0.1", "workers": workers, "partial": True}
    server.answers["/update_model"] = (200, answer)
    pushed = client.push(b"bundle", "signature")
    assert pushed.accepted
    assert pushed.partial == "1 of 2 workers serve it; worker 1: unknown key"
    server.answers["/update_model"] = (200, {**answer, "partial": False})
    assert client.push(b"bundle", "signature").partial is None


def test_a_refused_push_tells_the_apis_own_words(
    client: HttpScoringApi, server: StandInApi
) -> None:
    server.answers["/update_model"] = (409, {"detail": "1.0.0 is not newer"})
    answer = client.push(b"raw", "key:sig")

    assert not answer.accepted
    assert answer.detail == "1.0.0 is not newer"


def test_an_api_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = HttpScoringApi(f"http://127.0.0.1:{port}", "push-token", 1.0, 1.0)
    for call in (client.current, client.known_versions, lambda: client.push(b"", "")):
        with pytest.raises(ApiUnavailable):
            call()
    client.close()


def test_an_api_that_hangs_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = HttpScoringApi(f"http://127.0.0.1:{silent.getsockname()[1]}", "t", 0.05, 0.05)
        with pytest.raises(ApiUnavailable, match="Timeout"):
            client.probe("/api/health")
        client.close()
