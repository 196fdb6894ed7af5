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
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    role: Role | None = None
    json_limit_bytes: int | None = None
    problems: tuple[Kind, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


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
    route = APIRoute(
        address.path,
        address.endpoint,
        methods=[address.method],
        responses=documented(*dict.fromkeys(kinds)),
        openapi_extra=security(address.role) | address.extra,
        **address.options,
    )
    route.app = _Door(route.app, doorkeeper, address.role, address.json_limit_bytes)
    app.router.routes.append(route)


def security(role: Role | None) -> dict[str, Any]:
    """What the docs say of the credentials."""
    if role is None:
        return {}
    return {"security": [{"basic" if role is Role.TRIGGER else str(role): []}]}


class _Door:
    def __init__(
        self, app: ASGIApp, doorkeeper: Doorkeeper, role: Role | None, limit_bytes: int | None
    ) -> None:
        self._app = app
        self._doorkeeper = doorkeeper
        self._role = role
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._role is not None:
            scope[_CALLER] = self._doorkeeper.admit(scope, self._role)
        if self._limit_bytes is not None:
            require_json(scope)
            try:
                receive = _replay(await read_body(scope, receive, self._limit_bytes), receive)
            except ClientGone:
                return
        await self._app(scope, receive, send)


def _replay(body: bytes, rest: Receive) -> Receive:
    """The body again, for the framework; what comes after it is passed on."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await rest()

    return receive
