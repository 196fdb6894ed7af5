"""Who may call what: one token a role, compared in constant time."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Scope

from api.http.bodies import header
from api.http.problems import NO_CREDENTIALS, WRONG_ROLE, Problem
from shared.keys.tokens import Role

BASIC_USER = "operator"
# Roles whose routes are open unless SCORING_AUTH=on.
OPENABLE = frozenset({Role.SCORER, Role.READ})
# Who pushes a model has to see what is served, and holds no other token.
ALSO_ADMITTED = {Role.READ: frozenset({Role.PUSH})}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who the credentials say it is; `name` goes into the audit trail."""

    role: Role
    name: str


class Doorkeeper:
    """Knows the digest of every role's token, never the tokens themselves."""

    def __init__(self, tokens: Mapping[Role, str], *, scoring_open: bool) -> None:
        self._digests = {role: _digest(token.encode()) for role, token in tokens.items()}
        self._scoring_open = scoring_open

    def is_open(self, role: Role) -> bool:
        """Whether routes of this role need no credentials."""
        return self._scoring_open and role in OPENABLE

    def admit(self, scope: Scope, role: Role) -> Caller:
        """The caller, if these credentials carry the role.

        Raises:
            Problem: 401 when there are none or they are wrong, 403 when they are another role's.
        """
        if self.is_open(role):
            return Caller(role, "anyone")
        offered = header(scope["headers"], b"authorization") or b""
        held = self._role_of(offered, basic=role is Role.TRIGGER)
        if held is None:
            raise _unauthorised(role)
        if held is not role and held not in ALSO_ADMITTED.get(role, ()):
            raise Problem(
                WRONG_ROLE, f"this needs the {role} role; these are the {held} credentials"
            )
        return Caller(role, str(held))

    def _role_of(self, offered: bytes, *, basic: bool) -> Role | None:
        scheme, _, value = offered.partition(b" ")
        if scheme.lower() == b"basic" and basic:
            return self._match(_basic_password(value.strip()))
        if scheme.lower() == b"bearer":
            held = self._match(value.strip())
            # The trigger's own token as a bearer is not what the route asks for.
            return None if basic and held is Role.TRIGGER else held
        return None

    def _match(self, token: bytes) -> Role | None:
        """Compare with every role, so that the time says nothing about which one is near."""
        digest = _digest(token)
        found: Role | None = None
        for role, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = role
        return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _basic_password(value: bytes) -> bytes:
    try:
        user, _, password = base64.b64decode(value, validate=True).partition(b":")
    except binascii.Error:
        return b""
    known_user = hmac.compare_digest(_digest(user), _digest(BASIC_USER.encode()))
    return password if known_user else b""


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
