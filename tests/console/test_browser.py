"""Every screen in a real browser: axe, policy, origins, two widths, no JavaScript, keyboard."""

import importlib.util
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from console.screens.catalogue import SCREENS
from tests.support.console_bench import OPERATOR_TOKEN, Bench, make_bench
from tests.support.console_demo import fill
from tests.support.console_evidence import DECISION, entry, hold_one, trail

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api") if CHROMIUM else None
pytestmark = [
    pytest.mark.slow,
    # here it may be missing; where everything has to hold, a missing browser is a failure
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium"),
    # Playwright leaves its sockets to its driver
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
_WATCH_POLICY = (
    "window.violations = [];"
    "document.addEventListener('securitypolicyviolation',"
    " (e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI));"
)
_RUN_AXE = """async () => {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const found = await axe.run(document, {runOnly: tags});
  const wrong = found.violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 120))]);
  return [wrong, found.passes.length];
}"""


@dataclass
class Site:
    """A console on a port, with its content."""

    bench: Bench
    url: str
    paths: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    bench = make_bench(tmp_path_factory.mktemp("site"))
    run_id = fill(bench)
    bench.wired.sampler.sample()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(bench.wired.app, log_config=None, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
        assert thread.is_alive()
    paths = [screen.path for screen in SCREENS if screen.in_navigation]
    paths += [f"/runs/{run_id}", "/versions/1.0.1", "/versions/compare", "/login", "/nowhere"]
    paths += ["/schedule?interval=1D"]
    yield Site(bench, f"http://127.0.0.1:{listener.getsockname()[1]}", paths)
    server.should_exit = True
    thread.join(20)
    listener.close()
    bench.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    assert playwright is not None, "CI has a Chromium"
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def axe() -> str:
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_every_screen_is_accessible_within_its_policy_and_asks_no_other_origin(
    site: Site, chromium: Any, scheme: str, width: int
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page, asked, said = context.new_page(), set(), []
    page.add_init_script(_WATCH_POLICY)
    page.on("request", lambda request: asked.add(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    found: dict[str, Any] = {}
    for path in site.paths:
        page.goto(site.url + path)
        page.wait_for_load_state("networkidle")
        page.evaluate(axe())
        wrong, passed = page.evaluate(_RUN_AXE)
        assert passed > 15, f"{path}: axe has checked nothing"
        policy = page.evaluate("window.violations")
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wrong or policy or overflow > 0:
            found[path] = (wrong, policy, overflow)
    context.close()
    assert found == {}
    assert said == []
    assert [url for url in asked if not url.startswith(site.url + "/")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_about_people_is_accessible_to_a_person_who_has_logged_in(
    site: Site, chromium: Any, scheme: str
) -> None:
    bench = site.bench
    bench.api.answers |= {"/decisions/t-1": DECISION, "/audit": trail(entry(2), entry(1))}
    if scheme == "light":
        hold_one(bench)
    context = chromium.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.add_init_script(_WATCH_POLICY)
    page.goto(f"{site.url}/login?next=/trail")
    page.fill('input[name="token"]', bench.token)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/trail")
    found: dict[str, Any] = {}
    for path in ("/decisions?id=t-1", "/trail", "/dossier/1.0.1", "/approvals", "/promise"):
        page.goto(site.url + path)
        page.wait_for_load_state("networkidle")
        assert "Log in to read" not in page.locator("main").inner_text()
        page.evaluate(axe())
        wrong, _ = page.evaluate(_RUN_AXE)
        policy = page.evaluate("window.violations")
        if wrong or policy:
            found[path] = (wrong, policy)
    context.close()
    assert found == {}


def test_every_screen_is_complete_without_javascript(site: Site, chromium: Any) -> None:
    texts = []
    for enabled in (True, False):
        context = chromium.new_context(java_script_enabled=enabled)
        page = context.new_page()
        shown = {}
        for path in site.paths:
            page.goto(site.url + path)
            # what only scripts add: charts that repeat a table, and the browser's own time
            tables = page.locator("table:not(.u-legend)").count()
            shown[path] = (page.locator("h1").inner_text(), tables, page.locator("form").count())
        texts.append(shown)
        context.close()
    assert texts[0] == texts[1]


def test_a_live_part_is_read_again_and_open_details_stay_open(site: Site, chromium: Any) -> None:
    page = chromium.new_page()
    page.goto(f"{site.url}/now")
    first = page.locator(".as-of time").get_attribute("datetime")
    page.wait_for_function(
        "(first) => document.querySelector('.as-of time').dateTime !== first",
        arg=first,
        timeout=60_000,
    )
    assert page.locator("h1").count() == 1
    page.close()


def tab_to(page: Any, wanted: str) -> None:
    """Press the tabulator until the element has the focus, as a person without a mouse does."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", wanted):
            return
    pytest.fail(f"{wanted} cannot be reached by keyboard")


def test_a_rollback_by_keyboard_alone(site: Site, chromium: Any) -> None:
    changed = {
        "version": "1.0.0", "previous": "1.0.1", "activated_at": "2026-11-21T03:00:00Z",
        "workers": {"serving": 1, "total": 1, "failed": []}, "partial": False,
    }  # fmt: skip
    site.bench.api.answers["/rollback_model"] = changed
    page = chromium.new_page()
    page.goto(f"{site.url}/now")
    tab_to(page, 'nav a[href="/steer"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/steer")
    form = 'form[action="/deeds/rollback"]'
    typed = {"reason": "too many alarms", "person": "anna", "token": OPERATOR_TOKEN}
    for name, text in typed.items():
        tab_to(page, f"{form} [name={name}]")
        page.keyboard.type(text)
    tab_to(page, f"{form} button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deeds/rollback")
    assert "1.0.0 is live, no longer 1.0.1." in page.locator("main").inner_text()
    change = site.bench.api.changes[-1]
    assert change.headers["X-Person"] == "anna"
    page.close()
