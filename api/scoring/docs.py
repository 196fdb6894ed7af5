"""The documentation of the scoring routes: ordinary FastAPI routes whose app is raw ASGI."""

from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Annotated, Any, cast

from fastapi import Body
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, create_model
from starlette.types import ASGIApp

from api.http.problems import (
    IDEMPOTENCY_CONFLICT,
    INVALID_REQUEST,
    JOURNAL_FULL,
    NO_CREDENTIALS,
    NO_MODEL,
    NO_REASONS,
    SCORING_FAILED,
    TOO_LARGE,
    TOO_MANY,
    UNSUPPORTED_MEDIA,
    WORKER_UNAVAILABLE,
    WRONG_ROLE,
    documented,
)
from api.scoring.reasons import documented_option, reasoned_model
from api.setting_groups import RequestLimitSettings
from shared.contracts.http import ProblemBody
from shared.usecase.serving import ScoringRoute, ServingUseCase

_PROBLEMS = documented(
    NO_CREDENTIALS,
    WRONG_ROLE,
    TOO_MANY,
    IDEMPOTENCY_CONFLICT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    INVALID_REQUEST,
    SCORING_FAILED,
    NO_MODEL,
    JOURNAL_FULL,
    WORKER_UNAVAILABLE,
)
_CONFLICT = IDEMPOTENCY_CONFLICT.status
_ROW_PROBLEMS = _PROBLEMS | {_CONFLICT: documented(IDEMPOTENCY_CONFLICT, NO_REASONS)[_CONFLICT]}


class RowError(BaseModel):
    """Stands where the prediction of a row would, when that row could not be scored."""

    index: int
    error: ProblemBody


class RawRoute(APIRoute):
    """A documented route that hands the connection to a raw ASGI callable."""

    def __init__(self, path: str, endpoint: "Documented", **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = endpoint.asgi


class Documented:
    """The signature from which FastAPI reads the request model; it is never called."""

    def __init__(self, asgi: ASGIApp, model: type[BaseModel], examples: Mapping[str, Any]) -> None:
        self.asgi = asgi
        shown: Any = {name: {"value": body} for name, body in examples.items()}
        # A type created at run time: mypy cannot follow it.
        annotation: Any = Annotated[cast(Any, model), Body(openapi_examples=shown)]
        body = Parameter("body", Parameter.KEYWORD_ONLY, annotation=annotation)
        self.__signature__ = Signature([body])

    def __call__(self, **_: Any) -> None:
        raise AssertionError("RawRoute answers instead")


def row_route(route: ScoringRoute, use_case: ServingUseCase, asgi: ASGIApp) -> RawRoute:
    """The route that scores one row."""
    rule, model, more = route.reasons, route.response_model, {}
    if rule is not None:
        model = reasoned_model(route)
        more = {"parameters": [documented_option(rule)]}
    return RawRoute(
        route.path,
        Documented(asgi, use_case.request_model, route.examples),
        methods=["POST"],
        summary=route.summary,
        response_model=model,
        responses=_PROBLEMS if rule is None else _ROW_PROBLEMS,
        openapi_extra=more,
        tags=["scoring"],
        name=route.path,
        operation_id=_operation_id(route.path),
    )


def batch_route(
    route: ScoringRoute, use_case: ServingUseCase, asgi: ASGIApp, limits: RequestLimitSettings
) -> RawRoute:
    """The route that scores many rows as one matrix."""
    path, max_rows, rule = route.batch_path or "", limits.batch_max_rows, route.reasons
    stem = _operation_id(path).title().replace("_", "")
    rows = Field(min_length=1, max_length=max_rows)
    row_model: Any = use_case.request_model
    answer_model: Any = route.response_model if rule is None else reasoned_model(route)
    request = create_model(f"{stem}Request", instances=(list[row_model], rows))
    response = create_model(
        f"{stem}Response", predictions=(list[answer_model | RowError], ...), version=(str, ...)
    )
    examples = {"all": {"instances": list(route.examples.values())}}
    more = {}
    if rule is not None:
        more = {"parameters": [documented_option(rule, limits.explained_batch_max_rows)]}
    return RawRoute(
        path,
        Documented(asgi, request, examples),
        methods=["POST"],
        summary=f"{route.summary}, many rows at once",
        description=f"At most {max_rows} rows. A row that cannot be scored gets its own error.",
        response_model=response,
        responses=_PROBLEMS if rule is None else _ROW_PROBLEMS,
        openapi_extra=more,
        tags=["scoring"],
        name=path,
        operation_id=_operation_id(path),
    )


def _operation_id(path: str) -> str:
    return path.strip("/").replace("/", "_").replace("-", "_")
