"""The sender of a request: a named token, a role's token or an anonymous caller, and the person."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast
from urllib.parse import unquote

import structlog
from fastapi import Request

from api.http.problems import INVALID_REQUEST, Problem
from shared.clock import wall_ns
from shared.contracts.http import PERSON, FieldProblem
from shared.contracts.people import PERSON_PATTERN
from shared.keys.tokens import (
    ANONYMOUS,
    MIN_TOKEN_CHARACTERS,
    Role,
    named_folder,
    named_token_files,
    token_digest,
)

_log = structlog.get_logger()
_LOOK_SECONDS = 1.0
# A more recent change could be followed by another one with the same modification time.
_SETTLED_SECONDS = 2.0

CallersByDigest = Mapping[bytes, "Caller"]
"""Digest of a token -> its caller."""

_Stamp = tuple[int, ...]
# Members of a request's scope, set where its credentials are checked.
CALLER = "understudy.caller"
NEEDS_PERSON = "understudy.needs_person"
_PERSON = re.compile(PERSON_PATTERN)
_BY_PEOPLE = frozenset({Role.OPERATOR, Role.TRIGGER})
"""Roles whose credentials people use."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request, by its credentials; made once a token, not once a request.

    Attributes:
        role: the role that was asked for.
        name: the token's name; the role where the role's own token was sent; ANONYMOUS without
            credentials. It is stored with rows and labels and goes into the audit trail.
        is_anonymous: no credentials were sent, and none were needed.
        is_trusted: rows of this caller enter the history, the training data and other users'
            windows; otherwise they are quarantined.
    """

    role: Role
    name: str
    is_anonymous: bool = False
    is_trusted: bool = True


def anonymous(role: Role, *, is_trusted: bool) -> Caller:
    """The caller of an open route who sends no credentials."""
    return Caller(role, ANONYMOUS, is_anonymous=True, is_trusted=is_trusted)


class NamedTokens:
    """Looks at the folders at most once a second, and only when a token is offered."""

    def __init__(
        self, keys_dir: Path, roles: Iterable[Role], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys_dir = keys_dir
        self._roles = tuple(roles)
        self._now = now
        self._looked_at = float("-inf")
        self._stamp: _Stamp | None = None
        self._callers: CallersByDigest = MappingProxyType({})

    def __call__(self) -> CallersByDigest:
        """The tokens there are now; one that was added or removed is noticed within a second."""
        now = self._now()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._look()
        return self._callers

    def _look(self) -> None:
        stamp = tuple(_changed_at(named_folder(self._keys_dir, role)) for role in self._roles)
        if stamp == self._stamp:
            return
        is_settled = wall_ns() - max(stamp, default=0) > _SETTLED_SECONDS * 1e9
        self._stamp = stamp if is_settled else None
        found = dict(self._read())
        if found != self._callers:
            self._callers = MappingProxyType(found)
            _log.info("named_tokens_read", count=len(found))

    def _read(self) -> Iterator[tuple[bytes, Caller]]:
        for role in self._roles:
            for name, path in named_token_files(self._keys_dir, role):
                try:
                    token = path.read_bytes().strip()
                except OSError as error:
                    _log.warning("named_token_unreadable", file=str(path), error=error.strerror)
                    continue
                if len(token) < MIN_TOKEN_CHARACTERS:
                    _log.warning("named_token_too_short", file=str(path))
                    continue
                yield token_digest(token), Caller(role, name)


def _changed_at(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def no_named_tokens() -> CallersByDigest:
    """Accepts only the tokens of roles."""
    return {}


def caller(request: Request) -> Caller:
    """The authenticated caller of a request."""
    return cast(Caller, request.scope[CALLER])


def acting_name(request: Request, person: str | None = None, *, is_required: bool = False) -> str:
    """The caller's name for the audit trail, with the person in whose name it asks.

    `person` is what the body says; it goes before the header. People's credentials have to name one
    where the setting says so, and everywhere if `is_required`.

    Raises:
        Problem: the header cannot be a name, or no person is named where one has to be.
    """
    asks, given = caller(request), request.headers.get(PERSON)
    if person is None and given is not None:
        person = unquote(given, errors="replace")
        if _PERSON.fullmatch(person) is None:
            raise _no_person("write 1 to 64 letters, digits, blanks, '.', '@', \"'\" or '-'")
    if person is not None:
        return f"{asks.name}/{person}"
    if is_required or (request.scope[NEEDS_PERSON] and asks.role in _BY_PEOPLE):
        raise _no_person("the name of a person is required")
    return asks.name


def _no_person(what: str) -> Problem:
    remedy = f"send your name in the header {PERSON}, or as `person` in the body"
    error = FieldProblem(field="person", problem=what, remedy=remedy)
    return Problem(INVALID_REQUEST, f"{PERSON}: {what}; {remedy}", errors=[error])
