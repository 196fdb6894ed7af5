"""The author of a change: the caller by its token, and the person that uses it, by name."""

import re
from urllib.parse import unquote

from fastapi import Request

from api.http.auth import NEEDS_PERSON, caller
from api.http.problems import INVALID_REQUEST, Problem
from shared.contracts.http import PERSON, FieldProblem
from shared.contracts.people import PERSON_PATTERN
from shared.keys.tokens import Role

_PERSON = re.compile(PERSON_PATTERN)
_BY_PEOPLE = frozenset({Role.OPERATOR, Role.TRIGGER})
"""Roles whose credentials people use."""


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
