"""Files of others are those that npm packs, and pages ask no other origin for anything."""

import hashlib
import re

import pytest

from console.render import STATIC, TEMPLATES
from tests.support.console_bench import Bench

# Of htmx.org 2.0.11 and uplot 1.6.32, as npm packs them.
DIGESTS = {
    "htmx.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "htmx.LICENSE.txt": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE.txt": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
OURS = {"console.css", "console.js", "icon.svg", "ORIGIN.md"}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_file_of_others_is_the_one_that_npm_packs(name: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == DIGESTS[name]


def test_every_file_is_ours_or_has_a_digest_and_its_origin_is_written_beside_it() -> None:
    assert {path.name for path in STATIC.iterdir()} == OURS | set(DIGESTS)
    origin = (STATIC / "ORIGIN.md").read_text()
    assert "`htmx.org` 2.0.11" in origin
    assert "`uplot` 1.6.32" in origin
    assert len(re.findall(r"sha512-[A-Za-z0-9+/]{86}==", origin)) == 2


def test_no_template_has_anything_inline_or_asks_another_origin() -> None:
    """The policy of the pages would refuse it; `hx-on` and `style` are inline, too."""
    forbidden = re.compile(
        r"<script(?![^>]*\bsrc=\"/static/)|<style|\sstyle=|\son[a-z]+=|hx-on|javascript:"
        r"|(?:src|href|action)=\"(?:https?:)?//",
        re.IGNORECASE,
    )
    found = {
        path.name: forbidden.findall(path.read_text())
        for path in TEMPLATES.iterdir()
        if forbidden.search(path.read_text())
    }
    assert found == {}


@pytest.mark.parametrize("name", ["console.css", "htmx.min.js", "uPlot.iife.min.js", "icon.svg"])
def test_static_files_are_served_and_nothing_else_of_the_folder_is(bench: Bench, name: str) -> None:
    browser = bench.browser()
    assert browser.get(f"/static/{name}").status_code == 200
    for stray in ("ORIGIN.md", "../app.py", "..%2fapp.py", "", "console.css/"):
        assert browser.get(f"/static/{stray}").status_code == 404
