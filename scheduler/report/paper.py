"""The paper all pages are written on: one HTML file that needs nothing but itself."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

OURS = "scheduler.report"
STYLE = "candidate.css"
MADE_BY = '<meta name="generator" content="understudy">'


def environment(
    package: str,
    filters: Mapping[str, Any],
    functions: Mapping[str, Any] | None = None,
) -> Environment:
    """Templates of a package, and `head.html` of all; what they show is escaped: it is data."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(OURS)]),
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
    text = files(OURS).joinpath("templates", STYLE).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own style sheet
