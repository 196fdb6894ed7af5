"""The page at /: where everything of this service is; one file, without script or network."""

from html import escape

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

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
