"""The API client over a real socket: what it understands, and what it refuses to guess."""

import socket
from collections.abc import Iterator

import pytest

from scheduler.scoring_api import ApiUnavailable, HttpScoringApi, Serving
from shared.bundle.version import Version
from tests.scheduler.standin_api import StandInApi, standin_api
from tests.support.api_answers import changed, current_model, models, problem


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
    server.answers["/current_model"] = (200, current_model("1.2.3"))
    assert client.current() == Serving("1.2.3", "ab")


def test_a_member_that_is_missing_is_named(client: HttpScoringApi, server: StandInApi) -> None:
    answer = current_model("1.2.3")
    del answer["sha256"]
    server.answers["/current_model"] = (200, answer)
    with pytest.raises(ApiUnavailable, match=r"GET /current_model: .*sha256: Field required"):
        client.current()


def test_a_newer_api_may_say_more(client: HttpScoringApi, server: StandInApi) -> None:
    server.answers["/current_model"] = (200, current_model("1.2.3") | {"flavour": "new"})
    assert client.current() == Serving("1.2.3", "ab")


def test_what_stands_before_the_api_is_told_by_its_status(
    client: HttpScoringApi, server: StandInApi
) -> None:
    server.answers["/update_model"] = (502, b"<html>")
    assert client.push(b"raw", "key:sig").detail == "Bad Gateway"


def test_an_answer_to_a_push_that_cannot_be_read_is_no_refusal(
    client: HttpScoringApi, server: StandInApi
) -> None:
    server.answers["/update_model"] = (200, {"version": "1.0.0"})
    with pytest.raises(ApiUnavailable, match="previous: Field required"):
        client.push(b"raw", "key:sig")


def test_all_versions_are_read(client: HttpScoringApi, server: StandInApi) -> None:
    server.answers["/models"] = (200, models("1.0.0", "1.0.1"))
    assert client.known_versions() == {Version(1, 0, 0), Version(1, 0, 1)}


def test_a_push_carries_the_bytes_the_token_and_the_signature(
    client: HttpScoringApi, server: StandInApi
) -> None:
    server.answers["/update_model"] = (200, changed("1.0.0"))
    answer = client.push(b"raw", "key:sig")

    assert answer.accepted
    path, headers, body = server.received[-1]
    assert (path, body) == ("/update_model", b"raw")
    assert headers["authorization"] == "Bearer push-token"
    assert headers["x-bundle-signature"] == "key:sig"


def test_a_push_that_not_all_workers_followed_is_told_apart_and_says_who_did_not(
    client: HttpScoringApi, server: StandInApi
) -> None:
    answer = changed("1.0.1", failed={1: "unknown key"}, total=2)
    server.answers["/update_model"] = (200, answer)
    pushed = client.push(b"bundle", "signature")
    assert pushed.accepted
    assert pushed.partial == "1 of 2 workers serve it; worker 1: unknown key"
    server.answers["/update_model"] = (200, {**answer, "partial": False})
    assert client.push(b"bundle", "signature").partial is None


def test_a_refused_push_tells_the_apis_own_words(
    client: HttpScoringApi, server: StandInApi
) -> None:
    server.answers["/update_model"] = (409, problem("version-conflict", 409, "1.0.0 is not newer"))
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
