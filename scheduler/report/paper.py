"""The paper all pages are written on: one HTML file that needs nothing but itself."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

STYLE = "candidate.css"
MADE_BY = '<meta name="generator" content="understudy">'


def environment(
    package: str,
    filters: Mapping[str, Any],
    functions: Mapping[str, Any] | None = None,
) -> Environment:
    """Templates of a package; what they show comes from data, so it is escaped."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= filters
    made.globals |= functions or {}
    return made


def is_our_page(head: bytes) -> bool:
    """True if a file that begins like this is a page of this program."""
    return MADE_BY.encode() in head


@cache
def style() -> Markup:
    """The style sheet shared by all pages."""
    text = files("scheduler.report").joinpath("templates", STYLE).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own style sheet
