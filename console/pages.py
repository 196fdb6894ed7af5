"""The console's parts in one object, and how a page or a problem becomes an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from anyio import CapacityLimiter
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import Response

from console.access import COOKIE, Access, cookie_of, new_cookie
from console.deeds import Deed
from console.screen import Screen, Sources
from shared.host_names import Hosts

# Pages rendered concurrently; others wait. Each may hold a database connection.
_PAGES_AT_ONCE = 8
# Changes that may wait for the API concurrently, apart from the pages.
_DEEDS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Console:
    """Everything that answers need; made by the composition root."""

    sources: Sources
    screens: Sequence[Screen]
    deeds: Sequence[Deed]
    templates: Environment
    access: Access
    hosts: Hosts
    pages: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_PAGES_AT_ONCE))
    changes: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_DEEDS_AT_ONCE))

    def deed(self, name: str) -> Deed | None:
        return next((deed for deed in self.deeds if deed.name == name), None)

    @property
    def navigation(self) -> list[Screen]:
        shown = (screen for screen in self.screens if screen.in_navigation)
        return sorted(shown, key=lambda screen: screen.number)


def render_page(
    console: Console,
    request: Request,
    template: str,
    more: Mapping[str, Any],
    status: int = HTTPStatus.OK,
) -> Response:
    """A page; a visitor without a cookie gets one, to which the tokens of forms are bound."""
    known = cookie_of(request.headers.get("cookie", ""))
    used = known or new_cookie()
    query = f"?{request.url.query}" if request.url.query else ""
    shown = {
        "navigation": console.navigation,
        "path": request.url.path,
        "query": query,
        "form_token": console.access.sessions.form_token(used),
        "is_logged_in": console.access.sessions.is_logged_in(used),
        "reading_is_open": console.access.reading_is_open,
        "screen": None,
        "troubles": [],
        "command": None,
        "deeds": {deed.name: deed for deed in console.deeds},
        **more,
    }
    body = console.templates.get_template(template).render(shown)
    response = Response(body, status, media_type="text/html; charset=utf-8")
    if used != known:
        set_cookie(request, response, used)
    return response


def set_cookie(request: Request, response: Response, cookie: str) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, cookie, path="/", httponly=True, samesite="strict", secure=secure)


def render_problem(
    console: Console,
    request: Request,
    status: int,
    text: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    if request.url.path.endswith((".json", ".csv")):
        return Response(f"{text}\n", status, headers=headers, media_type="text/plain")
    more = {"title": HTTPStatus(status).phrase, "text": text, "status": int(status)}
    response = render_page(console, request, "problem.html", more, status)
    response.headers.update(headers or {})
    return response
