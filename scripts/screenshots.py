"""Pictures of every screen of a console that runs, for docs/console.md.

Needs Chromium (`apt-get install chromium`) and something to show: `make run`, a day of
`understudy traffic`, a few runs, a replay. It logs in with the console's token of KEYS_DIR, and
shows the newest flagged decision of DATABASE_URL. With --width and --dark it shows what a telephone
and a dark room see.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from console.screens.catalogue import SCREENS
from console.settings import ConsoleSettings, load_settings
from shared.errors import UnderstudyError
from shared.keys.tokens import Role, read_token
from shared.tables.engine import connect, database_errors
from shared.tables.schema import api_transaction_logs

FOLDER = Path(__file__).parent.parent / "docs" / "images" / "console"
WIDTH, HEIGHT = 1_100, 850
TALLEST = 1_500
_PATIENCE_MS = 120_000


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: its file's name, and the address it is taken of.

    Attributes:
        follow: the first row of a list whose link begins so is opened, to show one thing of it.
    """

    name: str
    path: str
    follow: str = ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8001", help="the console that runs")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go")
    parser.add_argument("--run", type=int, help="the run whose page is shown; default: the newest")
    parser.add_argument("--row", help="the decision; default: the newest one that was flagged")
    parser.add_argument("--width", type=int, default=WIDTH, help="pixels; a telephone has 400")
    parser.add_argument("--dark", action="store_true", help="as a browser set to dark shows it")
    chosen = parser.parse_args(arguments)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("no chromium on the path; apt-get install chromium\n")
        return 2
    try:
        settings = load_settings()
        token = read_token(settings.keys_dir, Role.CONSOLE)
        row = chosen.row or _newest_flagged(settings)
    except UnderstudyError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _take(chosen, list(shots(chosen.run, row)), token, chromium)
    return 0


def shots(run: int | None, row: str | None) -> Iterator[Shot]:
    """Every screen of the navigation, and the pages of one run, one version and one decision."""
    listed = (screen for screen in SCREENS if screen.in_navigation)
    for screen in sorted(listed, key=lambda screen: screen.number):
        name = f"{screen.number:02d}-{screen.path.strip('/')}"
        if screen.path == "/decisions" and row is not None:
            yield Shot(name, f"{screen.path}?id={quote(row, safe='')}")
        else:
            yield Shot(name, screen.path)
        if screen.path == "/runs":
            one = f"/runs/{run}" if run is not None else screen.path
            yield Shot("02-run", one, "" if run is not None else "/runs/")
        if screen.path == "/versions":
            yield Shot("05-version", screen.path, "/versions/")


def _newest_flagged(settings: ConsoleSettings) -> str | None:
    engine, table = connect(settings.database_url.get_secret_value()), api_transaction_logs
    query = select(table.c.transaction_id).order_by(table.c.event_time.desc()).limit(1)
    try:
        with database_errors("look for a decision"), engine.connect() as connection:
            flagged: str | None = connection.scalar(query.where(table.c.decision != "approve"))
            return flagged or connection.scalar(query)
    finally:
        engine.dispose()


def _take(chosen: argparse.Namespace, wanted: list[Shot], token: str, chromium: str) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a tool of development

    url = chosen.url.rstrip("/")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": chosen.width, "height": HEIGHT},
            color_scheme="dark" if chosen.dark else "light",
        )
        page.set_default_timeout(_PATIENCE_MS)
        _log_in(page, url, token)
        for shot in wanted:
            _open(page, url, shot)
            _picture(page, chosen, chosen.folder / f"{shot.name}.png")
        browser.close()


def _log_in(page: Any, url: str, token: str) -> None:
    page.goto(f"{url}/login?next=/now")
    page.fill('input[name="token"]', token)
    page.click("main button")
    page.wait_for_url(f"{url}/now")


def _open(page: Any, url: str, shot: Shot) -> None:
    page.goto(url + shot.path)
    found = page.locator(f'main th a[href^="{shot.follow}"]').first if shot.follow else None
    if found is not None and found.count():
        found.click()
    page.wait_for_load_state("load")
    # charts are drawn after the page was loaded
    page.wait_for_timeout(300)


def _picture(page: Any, chosen: argparse.Namespace, target: Path) -> None:
    tall = page.evaluate("document.documentElement.scrollHeight")
    size = {"x": 0, "y": 0, "width": chosen.width, "height": min(tall, TALLEST)}
    page.screenshot(path=target, full_page=True, clip=size)
    wide = page.evaluate("document.documentElement.scrollWidth")
    note = f", {wide - chosen.width} pixels too wide" if wide > chosen.width else ""
    sys.stdout.write(f"{target}{note}\n")


if __name__ == "__main__":
    sys.exit(main())
