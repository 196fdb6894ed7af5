"""Checks before every request: host name and origin; and the headers of every answer.

Order: a host name that is not ours gets 421 (DNS rebinding); a change that a page of another origin
sends gets 403 (cross-site requests); every answer carries the policy of the pages.
"""

from collections.abc import Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.host_names import Hosts, is_own_origin

_log = structlog.get_logger()
_READING = frozenset({"GET", "HEAD"})
_METHODS = frozenset({*_READING, "POST"})
_OWN_SITES = frozenset({b"same-origin"})
PAGE_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
"""Content security policy: scripts, styles and images of the console itself, nothing inline."""

REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Reports are whole pages of the scheduler with their own styles: no script, an origin of none."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # with `no-referrer` browsers would send `Origin: null` with the console's own forms
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        else:
            _log.warning("request_refused", path=scope["path"], status=refusal[0])
            await _answer(_with_headers(send), *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not hosts[0] or not self._hosts.allows(hosts[0]):
            return 421, "this host name is not one of the console: see CONSOLE_ALLOWED_HOSTS"
        if scope["method"] not in _METHODS:
            return 405, "the console answers GET, HEAD and POST"
        if scope["method"] not in _READING and _is_foreign(headers, hosts[0]):
            return 403, "a page of another origin sent this; nothing was changed"
        return None


def _is_foreign(headers: Iterable[tuple[bytes, bytes]], host: bytes) -> bool:
    """True if a change comes from another origin; a browser that sends none is not trusted."""
    origins = [value.lower() for name, value in headers if name == b"origin"]
    sites = [value.lower() for name, value in headers if name == b"sec-fetch-site"]
    if any(not is_own_origin(origin, host.lower()) for origin in origins):
        return True
    if any(site not in _OWN_SITES for site in sites):
        return True
    return not origins and not sites


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            names = {name.lower() for name, _ in headers}
            if b"content-security-policy" not in names:
                headers.append((b"content-security-policy", PAGE_POLICY.encode()))
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*headers, *_HEADERS]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
