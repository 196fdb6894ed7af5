"""Pictures of every screen of a console that runs, for docs/console.md.

Needs Chromium (`apt-get install chromium`) and something to show: `make run`, a day of
`understudy traffic`, a few runs.
"""

import argparse
import shutil
import sys
from pathlib import Path

from console.screens.catalogue import SCREENS

FOLDER = Path(__file__).parent.parent / "docs" / "images" / "console"
WIDTH, HEIGHT = 1_100, 850


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8001", help="the console that runs")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go")
    parser.add_argument("--run", type=int, help="the run whose page is shown; default: the newest")
    chosen = parser.parse_args(arguments)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("no chromium on the path; apt-get install chromium\n")
        return 2
    _take(chosen.url.rstrip("/"), chosen.folder, chosen.run, chromium)
    return 0


def _take(url: str, folder: Path, run: int | None, chromium: str) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a tool of development

    folder.mkdir(parents=True, exist_ok=True)
    listed = [screen for screen in SCREENS if screen.in_navigation]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for screen in sorted(listed, key=lambda screen: screen.number):
            page.goto(url + screen.path)
            if screen.path == "/runs":
                found = page.locator('a[href^="/runs/"]').first
                if run is not None:
                    page.goto(f"{url}/runs/{run}")
                elif found.count():
                    found.click()
            page.wait_for_load_state("networkidle")
            target = folder / f"{screen.number:02d}-{screen.path.strip('/')}.png"
            page.screenshot(path=target)
            sys.stdout.write(f"{target}\n")
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
