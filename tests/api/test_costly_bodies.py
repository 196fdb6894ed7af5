"""Bodies that are wrong cost no more than good ones, and nothing of them stays."""

import gc
import tracemalloc
from collections.abc import Iterator

import orjson
import pytest

from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.server import Running

MIB = 1024 * 1024
UNKNOWN = b",".join(b'"a%d":1' % number for number in range(6_000))


def some(size: int) -> bytes:
    """The first of the unknown fields, this many bytes."""
    return UNKNOWN[:size].rpartition(b",")[0]


ROW = b'{"amount":1.0,%s}' % b",".join(b'"a%d":1' % number for number in range(350))
LABEL = b'{"transaction_id":"t","label":1,"x":1}'
LONG = b'{"amount":-1,"x":"%s"}' % (b"y" * 500)
BODIES = {
    "unknown fields": ("/score", b'{"amount":1.0,%s}' % UNKNOWN),
    "a hundred unknown fields": ("/score", b'{"amount":1.0,%s}' % some(1_000)),
    "a list for a number": ("/score", b'{"amount":[%s1]}' % (b"1," * 25_000)),
    "deep nesting": ("/score", b'{"amount":%s1%s}' % (b"[" * 30_000, b"]" * 30_000)),
    "a batch of rows with unknown fields": (
        "/score/batch", b'{"instances":[%s]}' % b",".join([ROW] * 1_000),
    ),
    "a batch with one row of unknown fields": (
        "/score/batch", b'{"instances":[{%s}]}' % b",".join([UNKNOWN] * 70),
    ),
    "a batch of a million numbers": (
        "/score/batch", b'{"instances":[%s1]}' % (b"1," * 1_000_000),
    ),
    "a batch that is another thing": ("/score/batch", b"{%s}" % b",".join([UNKNOWN] * 70)),
    "labels with unknown fields": (
        "/feedback", b'{"labels":[%s]}' % b",".join([LABEL] * 9_000),
    ),
    "labels that are none": ("/feedback", b'{"labels":[%s1]}' % (b"1," * 49_000)),
    "labels that nest": ("/feedback", b'{"labels":%s' % (b"[" * 40_000)),
    "a million labels": ("/feedback", b'{"labels":[%s1]}' % (b"1," * 1_000_000)),
    "a reason that is a list": ("/rollback_model", b'{"reason":[%s1]}' % (b"1," * 7_000)),
    "a revocation of unknown fields": ("/revoke_model", b"{%s}" % some(15_000)),
    "a step of unknown fields": ("/update_rollout", b"{%s}" % some(15_000)),
}  # fmt: skip
ROLES = {
    "/feedback": Role.FEEDBACK,
    "/rollback_model": Role.OPERATOR,
    "/revoke_model": Role.OPERATOR,
    "/update_rollout": Role.PUSH,
}


def send(server: Running, path: str, body: bytes) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"}
    if path in ROLES:
        headers |= server.bearer(ROLES[path])
    answer = server.client.post(path, content=body, headers=headers)
    return answer.status_code, answer.content


@pytest.mark.parametrize(("path", "body"), BODIES.values(), ids=BODIES)
def test_no_more_than_ten_faults_are_told(steady: Running, path: str, body: bytes) -> None:
    status, content = send(steady, path, body)
    assert status == 422
    told = orjson.loads(content)
    assert told["type"] == "urn:understudy:problem:invalid-request"
    assert 1 <= len(told["errors"]) <= 10
    assert all(error["problem"] and error["remedy"] for error in told["errors"])
    assert len(content) < 8_192


def test_a_batch_of_bad_rows_tells_each_row_its_own_fault(steady: Running) -> None:
    rows = [{"amount": 1.0}, *[{"amount": -1.0, "x": 1}] * 900]
    status, content = send(steady, "/score/batch", orjson.dumps({"instances": rows}))
    assert status == 200
    first, *rest = orjson.loads(content)["predictions"]
    assert first["probability"] == 0.5
    assert len(rest) == 900
    assert {len(row["error"]["errors"]) for row in rest} == {2}


def test_a_good_row_may_hold_what_its_fields_allow(steady: Running) -> None:
    row = {"amount": 1.0, "transaction_id": "," * 100, "user_id": "[{" * 50}
    status, content = send(steady, "/score", orjson.dumps(row))
    assert (status, orjson.loads(content)["transaction_id"]) == (200, "," * 100)


@pytest.fixture
def watched(settings: Settings) -> Iterator[Running]:
    """A server whose memory is counted, and whose collector does not run."""
    with Running(settings.model_copy(update={"changes_per_minute": 0})) as server:
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            yield server
        finally:
            tracemalloc.stop()
            gc.enable()


@pytest.mark.parametrize(
    ("path", "body"),
    [BODIES["a hundred unknown fields"], BODIES["a batch of rows with unknown fields"],
     ("/score/batch", b'{"instances":[%s]}' % b",".join([LONG] * 900)),
     BODIES["labels with unknown fields"], BODIES["labels that nest"],
     ("/feedback", b'{"labels":["%s"]}' % (b"x" * 900_000)),
     BODIES["a reason that is a list"], ("/score", b"[" * 60_000), ("/score", b"x" * 100_000)],
)  # fmt: skip
def test_nothing_of_a_refused_body_waits_for_the_collector(
    watched: Running, path: str, body: bytes
) -> None:
    rounds = max(5, 4 * MIB // len(body))
    for _ in range(3):
        send(watched, path, body)
    before, _ = tracemalloc.get_traced_memory()
    answers = 0
    for _ in range(min(rounds, 60)):
        status, content = send(watched, path, body)
        assert status in (200, 413, 422)
        answers += len(content)
    after, _ = tracemalloc.get_traced_memory()
    # the client's own copies of the answers wait for the collector, too
    assert after - before < 2 * MIB + len(body) + 2 * answers
