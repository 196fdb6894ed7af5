"""GET /docs: the interactive page, with a policy that lets its own script run and no other.

The viewer comes from one address of a public network, as in FastAPI itself; whoever may not
reach that, or would not trust it with a token, reads /openapi.json instead.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

PATH = "/docs"
_VIEWER = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
_EMPTY = '<div id="swagger-ui">'
# What the viewer replaces as soon as it is there.
_WITHOUT_VIEWER = (
    "<p>The viewer comes from cdn.jsdelivr.net and has not loaded. Every route, with examples, "
    'is in <a href="/openapi.json">/openapi.json</a>.</p>'
)
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


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
