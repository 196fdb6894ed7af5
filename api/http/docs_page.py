"""The page at /docs with its viewer: files of this package, so that it works without a network."""

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import cache
from html import escape
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

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
    # the viewer would ask a server of its makers whether the schema is valid
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
        # 1.7 MB, which a service that is never asked for it need not hold
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
            # the viewer sets styles on its elements
            "style-src 'self' 'unsafe-inline'",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
