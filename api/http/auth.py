"""Authentication: tokens of roles, compared in constant time, and the routes that need them.

Every ordinary route checks credentials first, then reads the body, within its limit.
"""

import base64
import binascii
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, cast

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.bodies import (
    OF_A_ROW,
    ClientGone,
    Headers,
    check_elements,
    header,
    read_body,
    require_json,
)
from api.http.callers import (
    CALLER,
    NEEDS_PERSON,
    Caller,
    CallersByDigest,
    anonymous,
    no_named_tokens,
)
from api.http.problems import (
    INVALID_REQUEST,
    NO_CREDENTIALS,
    TOO_LARGE,
    TOO_MANY,
    UNSUPPORTED_MEDIA,
    WRONG_ROLE,
    Problem,
    ProblemKind,
    documented,
)
from api.http.threads import Purpose, RouteThreads, purpose_of
from shared.keys.tokens import Role, token_digest

# A caller with many addresses must not fill the memory: the least recently seen is evicted.
_MAX_KEYS = 10_000
_MINUTE = 60.0

_log = structlog.get_logger()

BASIC_USER = "operator"
# Roles whose routes are open unless SCORING_AUTH=on. Never labels: models are trained on them.
OPENABLE = frozenset({Role.SCORER, Role.READ})
# Roles with a rate limit: those that change the service, apart from scoring and labels.
LIMITED = frozenset({Role.PUSH, Role.OPERATOR, Role.ALERT, Role.TRIGGER})
# Headers that identify the sender: a token, or a proxy that forwards for another machine.
_SAYS_WHO = frozenset({b"authorization", b"x-forwarded-for", b"forwarded"})
# The scheduler and the console read the live version with their own tokens.
ALSO_ADMITTED = {Role.READ: frozenset({Role.PUSH, Role.CONSOLE})}


NO_OTHERS: frozenset[Role] = frozenset()
BY_OPERATORS = frozenset({Role.OPERATOR})
"""Admitted also to routes of another role that a person may use as well."""


class RateLimit:
    """`per_minute` requests at once, and as many a minute from then on; 0: no limit."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._step = _MINUTE / per_minute if per_minute else 0.0
        self._now = now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, key: str) -> float:
        """Count one request; more than 0: it is over the limit and was not counted."""
        if not self._step:
            return 0.0
        now = self._now()
        full_at = max(self._full_at.get(key, now), now) + self._step
        over = full_at - now - _MINUTE
        # rounding errors add up: the last request that a minute allows must still pass
        if over > self._step / 2:
            return over
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > _MAX_KEYS:
            self._full_at.popitem(last=False)
        return 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Rate limits, per minute; 0: no limit.

    Attributes:
        failures: refused attempts from one address.
        changes: admitted requests with the credentials of one role of LIMITED.
    """

    failures: RateLimit
    changes: RateLimit

    @classmethod
    def per_minute(cls, failures: int, changes: int) -> "Limits":
        return cls(RateLimit(failures), RateLimit(changes))


class Authenticator:
    """Authenticates callers; keeps digests of tokens, not the tokens."""

    def __init__(
        self,
        tokens: Mapping[Role, str],
        limits: Limits,
        *,
        scoring_open: bool,
        trust_anonymous: bool = True,
        trust_forwarded: bool = True,
        named: Callable[[], CallersByDigest] = no_named_tokens,
        person_required: bool = False,
    ) -> None:
        """`named` returns the current named tokens; `tokens` are those of the roles.

        Anonymous callers behind a proxy are trusted only if both arguments allow it.
        """
        self._digests = {
            token_digest(token.encode()): Caller(role, str(role)) for role, token in tokens.items()
        }
        self.person_required = person_required
        self._limits = limits
        self._scoring_open = scoring_open
        self._named = named
        self._anonymous = {role: anonymous(role, is_trusted=trust_anonymous) for role in OPENABLE}
        self._open_scorer = self._anonymous[Role.SCORER] if scoring_open else None
        self._forwarded_scorer = self._open_scorer
        if scoring_open and not trust_forwarded:
            self._forwarded_scorer = anonymous(Role.SCORER, is_trusted=False)
        self._has_told_of_proxy = False

    def is_open(self, role: Role) -> bool:
        """True if routes of this role need no credentials."""
        return self._scoring_open and role in OPENABLE

    def admit(
        self,
        scope: Scope,
        role: Role,
        also: frozenset[Role] = NO_OTHERS,
        *,
        never_open: bool = False,
    ) -> Caller:
        """The caller, if these credentials carry the role, or one of those in `also`.

        `never_open` admits no caller without credentials, whatever is open.

        Where scoring is open, credentials that are sent must still be valid, because the sender
        expects its rows to carry its name.

        Raises:
            Problem: 401 when there are none or they are wrong, 403 when they are another role's,
                429 when they come too often.
        """
        offered = header(scope["headers"], b"authorization")
        is_open = self.is_open(role) and not never_open
        if is_open and (offered is None or role is not Role.SCORER):
            scorer = self.scorer(scope["headers"]) if role is Role.SCORER else None
            return scorer or self._anonymous[role]
        held = self._caller_of(offered or b"", basic=role is Role.TRIGGER)
        if held is None or not (_carries(held, role) or held.role in also):
            raise self._refusal(scope, role, None if held is None else held.role)
        if role in LIMITED:
            wait_seconds = self._limits.changes.wait_seconds(role)
            if wait_seconds > 0:
                raise _too_many(f"requests with the {role} credentials", wait_seconds)
        return held

    def scorer(self, headers: Headers) -> Caller | None:
        """The caller of a scoring route; None when `admit` has to refuse it. Counts nothing."""
        anyone = self._open_scorer
        for name, value in headers:
            if name in _SAYS_WHO:
                if name != b"authorization":
                    anyone = self._forwarded()
                    continue
                held = self._caller_of(value, basic=False)
                return held if held is not None and held.role is Role.SCORER else None
        return anyone

    def _forwarded(self) -> Caller | None:
        """The caller behind a proxy: it may be any machine that reaches the proxy."""
        if self._forwarded_scorer is not self._open_scorer and not self._has_told_of_proxy:
            self._has_told_of_proxy = True
            _log.warning(
                "scoring_is_forwarded",
                rows="anonymous rows that a proxy passes on are quarantined",
                remedy="set OPEN_SCORING_REACH to where callers of the proxy come from, "
                "or have them send tokens",
            )
        return self._forwarded_scorer

    def _refusal(self, scope: Scope, role: Role, held: Role | None) -> Problem:
        # Valid credentials pass after any number of failures from the same address: a token
        # cannot be guessed, and an attacker must not be able to lock out the scheduler.
        address = _address(scope)
        wait_seconds = self._limits.failures.wait_seconds(address)
        if wait_seconds > 0:
            return _too_many("attempts with wrong credentials", wait_seconds)
        _log.warning("credentials_refused", path=scope["path"], address=address, needs=str(role))
        if held is None:
            return _unauthorised(role)
        return Problem(WRONG_ROLE, f"this needs the {role} role; these are the {held} credentials")

    def _caller_of(self, offered: bytes, *, basic: bool) -> Caller | None:
        scheme, _, value = offered.partition(b" ")
        if scheme.lower() == b"basic" and basic:
            return self._match(_basic_password(value.strip()))
        if scheme.lower() == b"bearer":
            held = self._match(value.strip())
            # The route does not accept the trigger's token as a bearer token.
            return None if basic and held is not None and held.role is Role.TRIGGER else held
        return None

    def _match(self, token: bytes) -> Caller | None:
        """Compare with every token, so that the time says nothing about which one is near."""
        digest = token_digest(token)
        found: Caller | None = None
        for known, caller in (*self._digests.items(), *self._named().items()):
            if hmac.compare_digest(digest, known):
                found = caller
        return found


def _carries(held: Caller, role: Role) -> bool:
    return held.role is role or held.role in ALSO_ADMITTED.get(role, ())


def _basic_password(value: bytes) -> bytes:
    try:
        user, _, password = base64.b64decode(value, validate=True).partition(b":")
    except binascii.Error:
        return b""
    known_user = hmac.compare_digest(token_digest(user), token_digest(BASIC_USER.encode()))
    return password if known_user else b""


def _address(scope: Scope) -> str:
    """The client, as far as a limit is concerned: in IPv6 a household has a whole network."""
    host = (scope.get("client") or ("",))[0]
    try:
        found = ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found)


def _too_many(what: str, wait_seconds: float) -> Problem:
    seconds = math.ceil(wait_seconds)
    return Problem(
        TOO_MANY, f"too many {what}; retry in {seconds} s", headers={"Retry-After": str(seconds)}
    )


def _unauthorised(role: Role) -> Problem:
    scheme = "Basic" if role is Role.TRIGGER else "Bearer"
    how = (
        f"send Basic credentials, user {BASIC_USER}, password from `understudy token {role}`"
        if role is Role.TRIGGER
        else f"send Authorization: Bearer with the token from `understudy token {role}`"
    )
    return Problem(
        NO_CREDENTIALS,
        how,
        headers={"WWW-Authenticate": f'{scheme} realm="understudy", charset="UTF-8"'},
    )


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """The specification of one route: role, body limit, documentation.

    Attributes:
        role: the role whose credentials it requires; None: open to every caller.
        also: further roles that may use it.
        json_limit_bytes: read a JSON body of at most this size; None: the route reads its own.
        options: passed on to the framework's route.
        extra: merged into the operation in the docs.
        json_elements: values that a JSON body may hold.
        purpose: the thread pool it waits on; None: that of its role.
        never_open: credentials are needed even where the role's other routes are open.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    role: Role | None = None
    json_limit_bytes: int | None = None
    problems: tuple[ProblemKind, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    json_elements: int = OF_A_ROW
    purpose: Purpose | None = None
    also: frozenset[Role] = NO_OTHERS
    never_open: bool = False


def add_route(app: FastAPI, authenticator: Authenticator, address: RouteSpec) -> None:
    """Add a route that checks credentials and limits first, and document those answers."""
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
    route.app = _Authenticated(route.app, authenticator, address)
    app.router.routes.append(route)


def security(role: Role | None) -> dict[str, Any]:
    """The credentials of a role, for the documentation."""
    if role is None:
        return {}
    return {"security": [{"basic" if role is Role.TRIGGER else str(role): []}]}


class _Authenticated:
    def __init__(self, app: ASGIApp, authenticator: Authenticator, address: RouteSpec) -> None:
        self._app = app
        self._authenticator = authenticator
        self._role = address.role
        self._also = address.also
        self._never_open = address.never_open
        self._limit_bytes = address.json_limit_bytes
        self._elements = address.json_elements

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._role is not None:
            scope[CALLER] = self._authenticator.admit(
                scope, self._role, self._also, never_open=self._never_open
            )
            scope[NEEDS_PERSON] = self._authenticator.person_required
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
