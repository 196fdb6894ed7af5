"""Failures as problems: what a validation found, and errors of raw endpoints and FastAPI's routes.

The problem of a field says what is wrong with it and what would be right.
"""

from collections.abc import Iterable, Mapping, Set
from itertools import islice
from types import MappingProxyType
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from api.http.problems import (
    DATABASE_UNAVAILABLE,
    INTERNAL,
    INVALID_REQUEST,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    SCORING_FAILED,
    Problem,
)
from shared.contracts.http import FieldProblem
from shared.errors import DataUnavailable

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
_log = structlog.get_logger()


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
        return _of_fields([_another_kind(count)], count)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return _of_fields(field_problems(found, later, names), count)


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
    return _of_fields(
        [
            FieldProblem(
                field=field if named else "",
                problem=rest.strip() if named else text,
                remedy="correct the value; /docs shows the accepted values",
            )
        ],
        1,
    )


def _of_fields(errors: list[FieldProblem], count: int) -> Problem:
    first = errors[0]
    detail = f"{first.field or 'body'}: {first.problem}"
    if count > 1 and first.field:
        detail += f" (and {count - 1} more)"
    return Problem(INVALID_REQUEST, detail, errors=errors)


def _remedy(error_type: str) -> str:
    return _REMEDIES.get(error_type, _FALLBACK)


def as_problem(error: Exception, path: str, **known: object) -> Problem:
    """A problem is answered as it is; anything else is logged, and answered without internals.

    `known` are further fields of the log line, such as the id of the row.
    """
    if not isinstance(error, Problem):
        _log.error("request_failed", path=path, exc_info=error, **known)
        release(error)
        return Problem(INTERNAL, "the request could not be answered")
    if error.kind is SCORING_FAILED:
        cause = error.__cause__
        _log.error("scoring_failed", path=path, detail=error.detail, exc_info=cause, **known)
    release(error)
    return error


def release(error: BaseException) -> None:
    """Drop the traceback and the cause once they are not needed any more.

    A traceback holds every frame that it went through, and a frame that has a name for the
    error closes a circle: the body of the request, and all that was parsed of it, would stay
    until the collector comes by.
    """
    seen: BaseException | None = error
    while seen is not None:
        following = seen.__cause__ or seen.__context__
        seen.__traceback__ = seen.__cause__ = seen.__context__ = None
        seen = following


def add_handlers(app: FastAPI) -> None:
    """Replace the framework's error answers by problems."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DataUnavailable, _database)


def answer(problem: Problem) -> Response:
    return Response(
        problem.render(), problem.kind.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


async def _problem(_request: Request, error: Exception) -> Response:
    release(error)
    return answer(cast(Problem, error))


async def _invalid(_request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()
    release(error)
    # loc starts with "body", "path" or "query": left out, since callers look for the field.
    problems = field_problems({**item, "loc": item["loc"][1:] or item["loc"]} for item in found)
    first = problems[0]
    return answer(Problem(INVALID_REQUEST, f"{first.field}: {first.problem}", errors=problems))


async def _http(request: Request, error: Exception) -> Response:
    found = cast(HTTPException, error)
    release(error)
    headers = dict(found.headers or {})
    if found.status_code == NOT_FOUND.status:
        problem = Problem(NOT_FOUND, "see /docs for the addresses of this service")
    elif found.status_code == METHOD_NOT_ALLOWED.status:
        problem = Problem(METHOD_NOT_ALLOWED, f"use {headers.get('Allow', 'another method')}")
    elif found.status_code < INTERNAL.status:
        remedy = FieldProblem(
            field="", problem="the body cannot be read", remedy="send one JSON document in UTF-8"
        )
        problem = Problem(INVALID_REQUEST, remedy.problem, errors=[remedy])
    else:
        _log.error("framework_error", path=request.url.path, status=found.status_code)
        problem = Problem(INTERNAL, "the request could not be answered")
    problem.headers |= headers
    return answer(problem)


async def _database(_request: Request, error: Exception) -> Response:
    _log.warning("database_unavailable", error=str(error))
    release(error)
    detail = "the database cannot be reached now; scoring goes on, this has to wait"
    return answer(Problem(DATABASE_UNAVAILABLE, detail, headers={"Retry-After": "5"}))
