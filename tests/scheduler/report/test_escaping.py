"""Every page escapes what it shows, wherever it comes from."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader

from scheduler.report.paper import environment

ROOT = Path(__file__).parents[3]
SOURCES = [
    path
    for folder in ("api", "learning", "scheduler", "shared", "simulator", "understudy", "usecases")
    for path in (ROOT / folder).rglob("*.py")
]
# Trusted text: our own style sheet, and drawings whose texts matplotlib escapes.
TRUSTED = {"paper.py", "canvas.py"}


@given(st.text())
def test_a_text_in_a_template_brings_no_tag_and_no_attribute(text: str) -> None:
    made = environment("scheduler.report", {})
    made.loader = DictLoader({"page": '<p title="{{ text }}">{{ text }}</p>'})
    shown = made.get_template("page").render(text=text)
    inside = shown.removeprefix('<p title="').removesuffix("</p>").replace('">', "", 1)
    assert not re.search("[<>\"']", inside)


def test_every_page_is_made_by_the_environment_that_escapes() -> None:
    makers = {path.name for path in SOURCES if re.search(r"\bEnvironment\(", path.read_text())}
    assert makers == {"paper.py"}
    trusting = {path.name for path in SOURCES if re.search(r"\bMarkup\(", path.read_text())}
    assert trusting == TRUSTED


def test_no_template_switches_escaping_off() -> None:
    templates = [path for folder in {p.parent for p in SOURCES} for path in folder.rglob("*.html")]
    assert templates
    for path in templates:
        assert not re.search(r"\|\s*safe|autoescape", path.read_text()), path
