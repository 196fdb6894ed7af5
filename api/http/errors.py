"""Failures as problems: of raw endpoints, and of FastAPI's routes."""

from typing import cast

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
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
from api.http.validation import field_problems
from shared.contracts.http import FieldProblem
from shared.errors import DataUnavailable

_log = structlog.get_logger()


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
