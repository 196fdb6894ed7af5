"""Every line about a request has its id, and every line its service and worker."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from api.http.layers import request_fields
from api.settings import Settings
from shared.usecase.serving import Answer
from tests.api.server import Running
from tests.api.tiny import TinyUseCase

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
NAMED = {"X-Request-Id": "order-17", "traceparent": TRACEPARENT}


class Broken(Exception):
    """What a responder raises that has a defect."""


def break_down(*_: object, **__: object) -> Answer:
    raise Broken


def without_answers() -> TinyUseCase:
    """A use case whose answers cannot be made."""
    tiny = TinyUseCase()
    return replace(tiny, routes=tuple(replace(one, respond=break_down) for one in tiny.routes))


def test_a_failure_answers_the_id_of_its_request_and_one_without_gets_one(
    serving: Running,
) -> None:
    assert serving.client.get("/nowhere", headers=NAMED).headers["x-request-id"] == "order-17"
    made = {serving.client.get("/nowhere").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert all(len(one) == 32 for one in made)


def test_a_refused_row_of_the_fast_path_answers_the_id(serving: Running) -> None:
    refused = serving.client.post("/score", json={"amount": "many"}, headers=NAMED)
    assert (refused.status_code, refused.headers["x-request-id"]) == (422, "order-17")


def test_lines_of_a_request_on_a_thread_have_its_id_and_its_trace(serving: Running) -> None:
    with capture_logs([merge_contextvars]) as lines:
        serving.client.post(
            "/rollback_model", json={"reason": "x"}, headers={"Authorization": "Bearer no", **NAMED}
        )
    (line,) = [line for line in lines if line["event"] == "credentials_refused"]
    assert (line["request_id"], line["trace_id"]) == ("order-17", TRACE)


@pytest.mark.parametrize("way", ["fast path", "ASGI"])
def test_a_row_that_fails_is_named_with_its_request(settings: Settings, way: str) -> None:
    detour = {"Expect": "100-continue"} if way == "ASGI" else {}
    body = {"amount": 1.0, "transaction_id": "t-9"}
    with Running(settings, without_answers()) as server, capture_logs([merge_contextvars]) as lines:
        answer = server.client.post("/score", json=body, headers=NAMED | detour)
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "order-17")
    (line,) = [line for line in lines if line["event"] == "request_failed"]
    assert (line["row_id"], line["request_id"], line["trace_id"]) == ("t-9", "order-17", TRACE)


def test_a_batch_that_fails_names_its_first_row(settings: Settings) -> None:
    rows = [{"amount": 1.0, "transaction_id": f"t-{number}"} for number in range(3)]
    with Running(settings, without_answers()) as server, capture_logs([merge_contextvars]) as lines:
        server.client.post("/score/batch", json={"instances": rows}, headers=NAMED)
    failed = [line for line in lines if line["event"] == "request_failed"]
    assert (failed[0]["row_id"], failed[0]["request_id"]) == ("t-0", "order-17")


@given(st.lists(st.tuples(st.sampled_from([b"x-request-id", b"traceparent", b"host"]),
                          st.binary(max_size=200))))  # fmt: skip
def test_whatever_is_sent_is_an_id_that_fits_a_header_and_a_line(
    headers: list[tuple[bytes, bytes]],
) -> None:
    fields = request_fields(headers)
    assert 1 <= len(fields["request_id"]) <= 128
    assert all(value.isascii() and value.isprintable() for value in fields.values())
    assert len(fields.get("trace_id", TRACE)) == 32


@pytest.mark.parametrize(
    "traceparent", ["", "00-zz", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-1-01"]
)
def test_what_names_no_trace_is_left_out(traceparent: str) -> None:
    assert "trace_id" not in request_fields([(b"traceparent", traceparent.encode())])


def test_lines_of_every_thread_have_the_service_and_the_worker() -> None:
    code = (
        "import threading, structlog\n"
        "from shared.logs import configure_logging, name_process\n"
        "configure_logging('api', 'info', 'json')\n"
        "name_process(worker=3)\n"
        "log = structlog.get_logger()\n"
        "log.info('here')\n"
        "thread = threading.Thread(target=lambda: log.info('there'))\n"
        "thread.start(); thread.join()\n"
        "import logging; logging.getLogger('somebody').warning('else')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["here", "there", "else"]
    assert {(line["service"], line["worker"]) for line in lines} == {("api", 3)}
