"""Protection from cross-site requests: pages of other origins change nothing and write no rows.

A browser says which page a request comes from; programs do not, and are not checked. Credentials
are in headers that no foreign page can add, so this is for what is open: scoring and labels.
"""

import time
from collections.abc import Iterable

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.headers import problem_headers
from api.http.problems import FOREIGN_ORIGIN, Problem
from api.metrics import Metrics
from api.models.model_slot import ModelSlot
from shared.host_names import is_own_origin

_log = structlog.get_logger()
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Sec-Fetch-Site of the service's own pages, and of an address typed by a person.
_OWN_SITES = frozenset({b"same-origin", b"none"})


class OriginGuard:
    """Answers 403 to what a page of another origin sends, unless that origin was named."""

    def __init__(
        self, app: ASGIApp, origins: Iterable[str], models: ModelSlot, metrics: Metrics
    ) -> None:
        self._app = app
        self._named = frozenset(origin.strip().lower().encode() for origin in origins)
        self._models = models
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in _READING or not self._is_foreign(scope["headers"]):
            await self._app(scope, receive, send)
        else:
            await self._refuse(scope, send)

    def _is_foreign(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        origins, sites, host = [], [], b""
        for name, value in headers:
            if name == b"origin":
                origins.append(value.lower())
            elif name == b"sec-fetch-site":
                sites.append(value.lower())
            elif name == b"host":
                host = value.lower()
        if any(origin not in self._named and not is_own_origin(origin, host) for origin in origins):
            return True
        return not origins and any(site not in _OWN_SITES for site in sites)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        started = time.perf_counter()
        _log.warning("foreign_origin_refused", path=scope["path"])
        problem = Problem(
            FOREIGN_ORIGIN, "CORS_ORIGINS: add the page's origin if its visitors are to do this"
        )
        body = problem.render()
        headers = problem_headers(problem, self._models.version_header)
        headers.append((b"content-length", b"%d" % len(body)))
        status = problem.kind.status
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._metrics.route("unknown").answered(status, time.perf_counter() - started)
