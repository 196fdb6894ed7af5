"""The documentation: the page at /docs, and answers in /openapi.json that every route can give."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

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

PATH = "/docs"
_VIEWER = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
_EMPTY = '<div id="swagger-ui">'
# A placeholder that the viewer replaces once it is loaded.
_WITHOUT_VIEWER = (
    "<p>The viewer comes from cdn.jsdelivr.net and has not loaded. Every route, with examples, "
    'is in <a href="/openapi.json">/openapi.json</a>.</p>'
)
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)

OF_CONNECTIONS = (MALFORMED, TOO_SLOW, ADDRESS_TOO_LONG, WRONG_HOST, HEADERS_TOO_LARGE, BUSY)
"""The answers that the protocol may give to any request."""

OF_WRITERS = (FOREIGN_ORIGIN,)
"""The answer to pages of other origins, unless they only read."""

_READING = frozenset({"get", "head", "options"})


def docs_page(title: str) -> Callable[[Request], Awaitable[HTMLResponse]]:
    """The page is always the same, so it and its policy are made once."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=title,
        swagger_js_url=f"{_VIEWER}swagger-ui-bundle.js",
        swagger_css_url=f"{_VIEWER}swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    html = bytes(page.body).decode().replace(_EMPTY, _EMPTY + _WITHOUT_VIEWER, 1)
    headers = {"Content-Security-Policy": _policy(_INLINE.findall(html))}

    async def docs(_request: Request) -> HTMLResponse:
        return HTMLResponse(html, headers=headers)

    return docs


def _policy(scripts: list[str]) -> str:
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    own = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_VIEWER} {own}",
            # the viewer sets styles on its elements
            f"style-src {_VIEWER} 'unsafe-inline'",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


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
