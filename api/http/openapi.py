"""Answers in /openapi.json that every route can give."""

from typing import Any

from api.http.problems import (
    ADDRESS_TOO_LONG,
    BUSY,
    FOREIGN_ORIGIN,
    HEADERS_TOO_LARGE,
    MALFORMED,
    MEDIA_TYPE,
    TOO_SLOW,
    WRONG_HOST,
    ProblemKind,
    problem_response,
)

OF_CONNECTIONS = (MALFORMED, TOO_SLOW, ADDRESS_TOO_LONG, WRONG_HOST, HEADERS_TOO_LARGE, BUSY)
"""The answers that the protocol may give to any request."""

OF_WRITERS = (FOREIGN_ORIGIN,)
"""The answer to pages of other origins, unless they only read."""

_READING = frozenset({"get", "head", "options"})


def add_shared_responses(schema: dict[str, Any]) -> None:
    """Add them to every operation of an OpenAPI document."""
    kinds = (*OF_CONNECTIONS, *OF_WRITERS)
    parts = schema.setdefault("components", {}).setdefault("responses", {})
    parts.update({kind.code: problem_response(kind.status, (kind,)) for kind in kinds})
    for operations in schema["paths"].values():
        for method, operation in operations.items():
            for kind in OF_CONNECTIONS if method in _READING else kinds:
                _add(operation.setdefault("responses", {}), kind)


def _add(responses: dict[str, Any], kind: ProblemKind) -> None:
    """A reference, or one problem more where the route itself answers this status."""
    status = str(kind.status)
    known = responses.setdefault(status, {"$ref": f"#/components/responses/{kind.code}"})
    if "$ref" in known:
        return
    shared = problem_response(kind.status, (kind,))
    known["description"] = f"{known['description']}; {shared['description']}"
    examples = shared["content"][MEDIA_TYPE]["examples"]
    known["content"][MEDIA_TYPE]["examples"].update(examples)
