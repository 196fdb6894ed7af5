"""Who sends a request: a named token, a role's own token, or nobody known."""

from dataclasses import dataclass

from shared.keys.tokens import ANONYMOUS, Role


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request, as its credentials say; made once a token, not once a request.

    Attributes:
        role: the role that was asked for.
        name: the token's name; the role where the role's own token was sent; ANONYMOUS without
            credentials. It is stored with rows and labels and goes into the audit trail.
        is_anonymous: no credentials were sent, and none were needed.
        is_trusted: rows of this caller become history, training data and part of other
            people's windows; else they are quarantined.
    """

    role: Role
    name: str
    is_anonymous: bool = False
    is_trusted: bool = True


def anonymous(role: Role, *, is_trusted: bool) -> Caller:
    """The caller of an open route who sends no credentials."""
    return Caller(role, ANONYMOUS, is_anonymous=True, is_trusted=is_trusted)
