from collections.abc import Iterator

import httpx
import pytest

from shared.keys.tokens import Role
from tests.api.server import Running

JSON = {"Content-Type": "application/json"}
FAR = "2999-01-01T00:00:00Z"


def post(server: Running, body: bytes, path: str = "/score") -> httpx.Response:
    return server.client.post(path, content=body, headers=JSON)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"{", ""),
        (b"\xff\xfe", ""),
        (b"[]", ""),
        (b"null", ""),
        (b"{}", "amount"),
        (b'{"amount": "1.5"}', "amount"),
        (b'{"amount": null}', "amount"),
        (b'{"amount": NaN}', "amount"),
        (b'{"amount": Infinity}', "amount"),
        (b'{"amount": 1e999}', "amount"),
        (b'{"amount": -0.01}', "amount"),
        (b'{"amount": 1, "amonut": 2}', "amonut"),
        (b'{"amount": 1, "event_time": "2026-01-01T00:00:00"}', "event_time"),
        (b'{"amount": 1, "event_time": "%s"}' % FAR.encode(), "event_time"),
        (b'{"amount": 1, "transaction_id": ""}', "transaction_id"),
        (b"[" * 10_000, ""),
    ],
)
def test_a_bad_row_is_told_by_field_with_a_remedy(steady: Running, body: bytes, field: str) -> None:
    for path in ("/score", "/decide"):
        answer = post(steady, body, path)
        assert answer.status_code == 422, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Model-Version"] == "1.0.0"
        problem = answer.json()
        assert problem["type"] == "urn:understudy:problem:invalid-request"
        assert problem["errors"][0]["field"] == field
        assert problem["errors"][0]["remedy"]
    assert steady.service.journaling.journal.backlog == 0


def test_an_answer_never_repeats_what_was_sent(steady: Running) -> None:
    answer = post(steady, b'{"amount": "my card is 4111"}')
    assert "4111" not in answer.text


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/score", Role.SCORER),
        ("/feedback", Role.FEEDBACK),
        ("/rollback_model", Role.OPERATOR),
    ],
)
def test_a_body_that_says_it_is_no_json_is_refused(steady: Running, path: str, role: Role) -> None:
    headers = {"Content-Type": "text/plain", **steady.bearer(role)}
    answer = steady.client.post(path, content=b'{"amount": 1}', headers=headers)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_body_over_the_limit_is_refused_by_its_length(steady: Running) -> None:
    answer = post(steady, b" " * 70_000)
    assert answer.status_code == 413
    assert answer.json()["limit_bytes"] == 65_536


def test_a_body_over_the_limit_is_refused_while_it_streams(steady: Running) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 4096
            yield b" " * 4096

    try:
        answer = steady.client.post("/score", content=endless(), headers=JSON)
        assert answer.status_code == 413
    except httpx.TransportError:
        # The server may hang up before the client has read the answer; it did not read on.
        pass
    assert steady.score(amount=1.0).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/score", 405, "method-not-allowed"),
        ("DELETE", "/current_model", 405, "method-not-allowed"),
        ("GET", "/api/mlops/runs/zero", 422, "invalid-request"),
        ("GET", "/api/mlops/runs/0", 422, "invalid-request"),
        ("GET", "/api/mlops/runs/4711", 404, "unknown-run"),
        ("GET", "/api/mlops/runs?limit=0", 422, "invalid-request"),
    ],
)
def test_every_other_error_is_a_problem_too(
    steady: Running, method: str, path: str, status: int, kind: str
) -> None:
    answer = steady.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Model-Version"] == "1.0.0"
    assert answer.json()["type"] == f"urn:understudy:problem:{kind}"
    assert answer.json()["status"] == status
