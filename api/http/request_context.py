"""Names of a request in logs: its own id, and the trace that it belongs to."""

import re
from collections.abc import Iterable
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.tracing.context import parse_traceparent

REQUEST_ID_HEADER = b"x-request-id"
_TRACEPARENT = b"traceparent"
# Request ids that are safe in a response header and in a log line.
_USABLE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_FAILED = 400


def request_fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """`request_id`, as it was sent or made here, and `trace_id` where the caller names a trace."""
    fields = {"request_id": ""}
    for name, value in headers:
        if name == REQUEST_ID_HEADER and _USABLE_ID.fullmatch(value):
            fields["request_id"] = value.decode("ascii")
        elif name == _TRACEPARENT and (context := parse_traceparent(value)):
            fields["trace_id"] = context.trace_id
    fields["request_id"] = fields["request_id"] or uuid4().hex
    return fields


class RequestContext:
    """The outermost layer: binds the fields for every line of a request.

    A failure answers with the id, by which its lines are found; so does the fast path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = request_fields(scope["headers"])
        line = (REQUEST_ID_HEADER, fields["request_id"].encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= _FAILED:
                message = {**message, "headers": [*message.get("headers", ()), line]}
            await send(message)

        with structlog.contextvars.bound_contextvars(**fields):
            await self._app(scope, receive, send_with_id)
