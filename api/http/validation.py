"""Validation errors for people: the field, what is wrong with it, what would be right."""

from collections.abc import Iterable, Mapping, Set
from itertools import islice
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from api.http.problems import INVALID_REQUEST, Problem
from shared.contracts.http import FieldProblem

# Errors of one body that are reported; further ones mostly repeat these.
_MAX_TOLD = 10
# Errors examined: each costs more than validating a correct row.
_MAX_READ = 100
_REMEDIES: Mapping[str, str] = {
    "json_invalid": "send one JSON document in UTF-8",
    "missing": "add this field",
    "extra_forbidden": "leave this field out; /docs lists the known ones",
    "finite_number": "send a finite number; leave the field out when it is unknown",
    "timezone_aware": "add the zone, e.g. 2026-01-31T12:00:00Z",
    "greater_than_equal": "send a value inside the limits",
    "less_than_equal": "send a value inside the limits",
    "greater_than": "send a value inside the limits",
    "less_than": "send a value inside the limits",
    "string_too_long": "shorten it",
    "string_too_short": "it may not be empty",
    "enum": "send one of the values named",
    "literal_error": "send one of the values named",
    "too_short": "send at least one element",
    "too_long": "split it over several requests",
}
_KNOWN_LATER = FieldProblem(
    field="",
    problem="it is known only after the row was scored",
    remedy="leave this field out, and report it by POST /feedback once it is known",
)
_OURS, _REMEDY_FOLLOWS = "Value error, ", ": write "
_FALLBACK = "see /docs for its type and an example"


def invalid(
    error: ValidationError,
    later: Set[str] = frozenset(),
    names: Mapping[str, str] = MappingProxyType({}),
) -> Problem:
    """The problem for what pydantic found; never repeats the input, which may be personal.

    `later` are fields that belong to /feedback, because they are known only after the answer;
    `names` are fields by other names that callers may know.
    """
    count = error.error_count()
    if count > _MAX_READ:
        return _problem([_another_kind(count)], count)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return _problem(field_problems(found, later, names), count)


def field_problems(
    found: Iterable[Mapping[str, Any]],
    later: Set[str] = frozenset(),
    names: Mapping[str, str] = MappingProxyType({}),
) -> list[FieldProblem]:
    """Pydantic's error dicts as problems of fields."""
    return [
        _unknown_field(item, later, names)
        if item["type"] == "extra_forbidden"
        else _field_problem(item)
        for item in islice(found, _MAX_TOLD)
    ]


def _unknown_field(
    item: Mapping[str, Any], later: Set[str], names: Mapping[str, str]
) -> FieldProblem:
    """The problem of a field that no request has, with the one that is perhaps meant."""
    name = str(item["loc"][-1])
    folded = name.casefold()
    if any(folded == one.casefold() for one in later):
        return _KNOWN_LATER.model_copy(update={"field": name})
    problem = _field_problem(item)
    meant = next((to for source, to in names.items() if folded == source.casefold()), None)
    if meant is None or meant == name:
        return problem
    return problem.model_copy(update={"remedy": f"the field is called {meant} here: send it so"})


def _field_problem(item: Mapping[str, Any]) -> FieldProblem:
    """Our own checks state problem and remedy, as `problem: write ...`."""
    field = ".".join(str(part) for part in item["loc"])
    text = str(item["msg"]).removeprefix(_OURS)
    problem, separator, remedy = text.partition(_REMEDY_FOLLOWS)
    if item["type"] == "value_error" and separator:
        return FieldProblem(field=field, problem=problem, remedy=f"write {remedy}")
    return FieldProblem(field=field, problem=text, remedy=_remedy(str(item["type"])))


def _another_kind(count: int) -> FieldProblem:
    return FieldProblem(
        field="", problem=f"{count} errors: this body has another structure", remedy=_FALLBACK
    )


def senseless(error: ValueError) -> Problem:
    """The problem for a well-typed request that makes no sense; the text names the field."""
    if isinstance(error, ValidationError):
        return invalid(error)
    text = str(error)
    field, separator, rest = text.partition(":")
    named = bool(separator) and field.isidentifier()
    return _problem(
        [
            FieldProblem(
                field=field if named else "",
                problem=rest.strip() if named else text,
                remedy="correct the value; /docs shows the accepted values",
            )
        ],
        1,
    )


def _problem(errors: list[FieldProblem], count: int) -> Problem:
    first = errors[0]
    detail = f"{first.field or 'body'}: {first.problem}"
    if count > 1 and first.field:
        detail += f" (and {count - 1} more)"
    return Problem(INVALID_REQUEST, detail, errors=errors)


def _remedy(error_type: str) -> str:
    return _REMEDIES.get(error_type, _FALLBACK)
