"""The door of every ordinary route: credentials first, then the body, within its limit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.bodies import ClientGone, read_body, require_json
from api.http.callers import Caller
from api.http.credentials import Doorkeeper
from api.http.elements import OF_A_ROW, check_elements
from api.http.problems import (
    INVALID_REQUEST,
    NO_CREDENTIALS,
    TOO_LARGE,
    TOO_MANY,
    UNSUPPORTED_MEDIA,
    WRONG_ROLE,
    Kind,
    documented,
)
from api.http.threads import Purpose, RouteThreads, purpose_of
from shared.keys.tokens import Role

_CALLER = "understudy.caller"


@dataclass(frozen=True, slots=True)
class Address:
    """One route as the door sees it.

    Attributes:
        role: whose credentials it takes; None: open to everybody.
        json_limit_bytes: read a JSON body of at most this size; None: the route reads its own.
        options: passed on to the framework's route.
        extra: merged into the operation in the docs.
        json_elements: values that a JSON body may hold.
        purpose: whose threads it waits on; None: those of its role.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    role: Role | None = None
    json_limit_bytes: int | None = None
    problems: tuple[Kind, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    json_elements: int = OF_A_ROW
    purpose: Purpose | None = None


def caller(request: Request) -> Caller:
    """Who the door let in."""
    return cast(Caller, request.scope[_CALLER])


def add(app: FastAPI, doorkeeper: Doorkeeper, address: Address) -> None:
    """Put a route behind the door and document what the door answers."""
    kinds = address.problems
    if address.role is not None:
        kinds += (NO_CREDENTIALS, WRONG_ROLE, TOO_MANY)
    if address.json_limit_bytes is not None:
        kinds += (TOO_LARGE, UNSUPPORTED_MEDIA, INVALID_REQUEST)
    purpose = address.purpose or purpose_of(address.role)
    threads = cast(RouteThreads, app.state.threads)
    route = APIRoute(
        address.path,
        threads.of(purpose, address.endpoint),
        methods=[address.method],
        responses=documented(*dict.fromkeys(kinds)),
        openapi_extra=security(address.role) | address.extra,
        **address.options,
    )
    route.app = _Door(route.app, doorkeeper, address)
    app.router.routes.append(route)


def security(role: Role | None) -> dict[str, Any]:
    """What the docs say of the credentials."""
    if role is None:
        return {}
    return {"security": [{"basic" if role is Role.TRIGGER else str(role): []}]}


class _Door:
    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper, address: Address) -> None:
        self._app = app
        self._doorkeeper = doorkeeper
        self._role = address.role
        self._limit_bytes = address.json_limit_bytes
        self._elements = address.json_elements

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._role is not None:
            scope[_CALLER] = self._doorkeeper.admit(scope, self._role)
        if self._limit_bytes is not None:
            require_json(scope)
            try:
                body = await read_body(scope, receive, self._limit_bytes)
            except ClientGone:
                return
            check_elements(body, self._elements)
            receive = _replay(body, receive)
            del body
        await self._app(scope, receive, send)


def _replay(body: bytes, rest: Receive) -> Receive:
    """The body again, for the framework; what comes after it is passed on."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await rest()

    return receive
