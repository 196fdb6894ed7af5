"""Request bodies: read within a limit, JSON that says so, and not too many values in it."""

from collections.abc import Iterable
from typing import Any

from starlette.types import Message, Receive, Scope

from api.http.problems import INVALID_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA, Problem
from shared.contracts.http import FieldProblem

Headers = Iterable[tuple[bytes, bytes]]

# Smaller bodies are not checked: they cannot hold many values.
_SMALL_BYTES = 1_024
OF_A_ROW = 256
# Values allowed for each row of a batch, and for the envelope around the rows.
OF_EACH_ROW, OF_AN_ENVELOPE = 64, 64


class ClientGone(Exception):
    """Raised when the client disconnected before the body was complete."""


def header(headers: Headers, name: bytes) -> bytes | None:
    """The first header of a lower-case name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def is_json(content_type: bytes) -> bool:
    """True if a Content-Type is JSON; its parameters are ignored."""
    return content_type.partition(b";")[0].strip().lower() == b"application/json"


def require_json(scope: Scope) -> None:
    """Refuse a body that is not declared as JSON: browsers send a preflight before JSON.

    Bodies that a foreign page can send without a preflight (a form, a beacon, an untyped blob) have
    other types.
    """
    content_type = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-encoding":
            _refuse_encoding(value)
    if content_type != b"application/json" and not is_json(content_type):
        raise Problem(UNSUPPORTED_MEDIA, "send the header Content-Type: application/json")


def require_plain(scope: Scope) -> None:
    """Refuse a body that says it is compressed: nothing here is ever inflated."""
    _refuse_encoding(header(scope["headers"], b"content-encoding") or b"")


def _refuse_encoding(value: bytes) -> None:
    if value.strip().lower() not in (b"", b"identity"):
        raise Problem(UNSUPPORTED_MEDIA, "send the body as it is, without Content-Encoding")


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Problem: it is, or says it will be, longer than the limit.
        ClientGone: the connection ended first.
    """
    declared = header(scope["headers"], b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
        return body
    return await _read_rest(message, receive, limit_bytes)


async def _read_rest(first: Message, receive: Receive, limit_bytes: int) -> bytes:
    message, chunks = first, bytearray()
    while message["type"] == "http.request":
        chunks += message.get("body", b"")
        if len(chunks) > limit_bytes:
            raise _too_large(limit_bytes)
        if not message.get("more_body", False):
            return bytes(chunks)
        message = await receive()
    raise ClientGone


def _too_large(limit_bytes: int) -> Problem:
    # The rest of the body stays unread, so the connection cannot be reused.
    return Problem(
        TOO_LARGE,
        f"the body is larger than {limit_bytes} bytes",
        headers={"Connection": "close"},
        limit_bytes=limit_bytes,
    )


def check_elements(body: bytes, most: int) -> None:
    """Refuse a body that holds more than this many values, or nests too deep.

    Raises:
        Problem: it does.
    """
    if len(body) <= _SMALL_BYTES:
        return
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
        fault = FieldProblem(
            field="",
            problem=f"it holds more than {most} values",
            remedy="leave out fields that /docs does not list, or send several requests",
        )
        raise Problem(INVALID_REQUEST, f"body: {fault.problem}", errors=[fault])


def check_members(rows: Iterable[Any], most: int) -> None:
    """Refuse rows of which one has more than this many members, before any is validated.

    Raises:
        Problem: one has.
    """
    for place, row in enumerate(rows):
        if isinstance(row, dict) and len(row) > most:
            fault = FieldProblem(
                field=f"instances.{place}",
                problem=f"it has {len(row)} members",
                remedy="leave out fields that /docs does not list",
            )
            raise Problem(INVALID_REQUEST, f"{fault.field}: {fault.problem}", errors=[fault])
