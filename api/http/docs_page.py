"""The pages at / and /docs with their files, which need no network; answers in /openapi.json."""

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

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
FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
"""Name and type of what the page loads; api/http/viewer/ORIGIN.md says where it comes from."""

_FOLDER = Path(__file__).parent / "viewer"
_OPTIONS = {
    "url": "/openapi.json",
    "dom_id": "#swagger-ui",
    "layout": "BaseLayout",
    "deepLinking": True,
    "showExtensions": True,
    "showCommonExtensions": True,
    # otherwise the viewer sends the schema to an online validator
    "validatorUrl": None,
}
_SCRIPT = f"SwaggerUIBundle({json.dumps(_OPTIONS)})"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{path}/swagger-ui.css" integrity="{css}">
</head>
<body>
<div id="swagger-ui">
<p>The viewer needs JavaScript. Every route, with examples, is in
<a href="/openapi.json">/openapi.json</a>.</p>
</div>
<script src="{path}/swagger-ui-bundle.js" integrity="{js}"></script>
<script>{script}</script>
</body>
</html>
"""


def add_docs_page(app: FastAPI) -> None:
    """GET /docs, and the files that it loads."""
    app.add_route(PATH, _page(app.title), include_in_schema=False)
    for name, media_type in FILES.items():
        app.add_route(f"{PATH}/{name}", _file(name, media_type), include_in_schema=False)


def _page(title: str) -> Callable[[Request], Awaitable[Response]]:
    async def docs(_request: Request) -> HTMLResponse:
        page = _PAGE.format(
            title=escape(title),
            path=PATH,
            css=_integrity("swagger-ui.css"),
            js=_integrity("swagger-ui-bundle.js"),
            script=_SCRIPT,
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": _policy()})

    return docs


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def file(_request: Request) -> FileResponse:
        # read at each request: 1.7 MB that would otherwise stay in memory
        return FileResponse(_FOLDER / name, media_type=media_type)

    return file


@cache
def _integrity(name: str) -> str:
    """The Subresource Integrity digest of this installation's copy of a file."""
    return _digest((_FOLDER / name).read_bytes())


def _digest(content: bytes) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"


def _policy() -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' '{_digest(_SCRIPT.encode())}'",
            # the viewer sets inline styles
            "style-src 'self' 'unsafe-inline'",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }
dt { margin-top: 1rem; overflow-wrap: anywhere } dd { margin: 0 }
"""
_LINKS = {
    "/docs": "every route with its fields and examples; works without a network",
    "/current_model": "the live version, since when it serves, and why",
    "/models": "every version that was accepted",
    "/api/health": "the state of every part",
    "/metrics": "for Prometheus",
    "/openapi.json": "the schema that /docs shows",
}


def add_front_page(app: FastAPI, console_url: str | None) -> None:
    """GET /; `console_url` is the console's address, where one is configured."""
    page = front_page(app.title, console_url)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"

    async def front(_request: Request) -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    app.add_route("/", front, include_in_schema=False)


def front_page(title: str, console_url: str | None) -> str:
    """The page as HTML."""
    links = {} if console_url is None else {console_url: "the console: what is live, and why"}
    listed = "\n".join(
        f'<dt><a href="{escape(address)}">{escape(address)}</a></dt><dd>{escape(meaning)}</dd>'
        for address, meaning in (links | _LINKS).items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"<dl>\n{listed}\n</dl>\n</body>\n</html>\n"
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
