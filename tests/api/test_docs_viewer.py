"""/docs shows its viewer without a network, and asks no other origin for anything."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from api.http.docs_page import FILES
from tests.api.server import Running

FOLDER = Path(__file__).parents[2] / "api" / "http" / "viewer"
# Of swagger-ui-dist 5.35.0, as npm packs it.
DIGESTS = {
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "NOTICE": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui-bundle.js.LICENSE.txt": (
        "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb"
    ),
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}
CHROMIUM = shutil.which("chromium")


@pytest.mark.parametrize("name", DIGESTS)
def test_the_viewer_is_the_one_that_npm_packs(name: str) -> None:
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == DIGESTS[name]


def test_where_the_viewer_comes_from_is_written_beside_it() -> None:
    origin = (FOLDER / "ORIGIN.md").read_text()
    assert "swagger-ui-dist` 5.35.0" in origin
    assert len(re.findall(r"sha512-[A-Za-z0-9+/]{86}==", origin)) == 1


@pytest.mark.parametrize("name", FILES)
def test_the_page_loads_the_file_with_the_digest_of_what_is_served(
    steady: Running, name: str
) -> None:
    page = steady.client.get("/docs").text
    served = steady.client.get(f"/docs/{name}")
    assert (served.status_code, served.headers["Content-Type"].split(";")[0]) == (200, FILES[name])
    digest = base64.b64encode(hashlib.sha256(served.content).digest()).decode()
    assert f'/docs/{name}" integrity="sha256-{digest}"' in page


def test_a_file_that_is_no_part_of_the_viewer_is_not_found(steady: Running) -> None:
    for name in ("NOTICE", "..%2fopenapi.py", "../openapi.py", "swagger-ui.css/"):
        assert steady.client.get(f"/docs/{name}").status_code == 404


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_without_a_network_shows_every_route(steady: Running, tmp_path: Path) -> None:
    log = tmp_path / "requests.json"
    shown = subprocess.run(
        [
            CHROMIUM or "", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            # every other name leads nowhere
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--disable-background-networking", "--disable-component-update",
            f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
            "--enable-logging=stderr", "--virtual-time-budget=20000", f"{steady.url}/docs",
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert 'id="operations-' in shown.stdout, shown.stderr
    assert "/update_model" in shown.stdout
    assert "Content Security Policy" not in shown.stderr
    # Chromium asks servers of its maker for itself: what counts is what the page began
    begun = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    asked = {one["url"] for one in begun if one.get("initiator") == steady.url and "url" in one}
    paths = {url.removeprefix(steady.url) for url in asked}
    assert {"/openapi.json", *(f"/docs/{name}" for name in FILES)} <= paths
    assert all(path.startswith(("/", "data:")) for path in paths), paths
