"""Rows a second with all that watches beside without: `python -m benchmarks.serving --watched`.

Two services on one core take turns under the same load, with a constant model. One is alone. The
other sends traces to a collector, is scraped each second, and has a console on its database with
five live pages open. A page that waits for its turn is hidden, and requests nothing, as in a
browser. Console, tabs, scrape and collector run on the core of the load with a low priority: what
is measured is what the service pays, not what else its machine has to do.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.load import LOAD_CORE, Measured, on_core
from benchmarks.report import Bar
from benchmarks.services import Services, free_port
from benchmarks.serving_race import WARM_USERS, Contestant, measure_contestant, post_batch, say
from benchmarks.serving_tracing import compared, constant_service
from benchmarks.serving_world import write_bodies
from console.screens.catalogue import SCREENS
from tests.support.collector import running_collector

BARS: dict[str, Bar] = {
    "watched_vs_alone": (">=", 0.97),
    "watched_p99_vs_alone": ("<=", 1.1),
    "failed": ("==", 0),
    "failed_pages": ("==", 0),
}
_ARMS = ("alone", "watched")
# The pages that a person leaves open; all of them are read again each five seconds.
_TABS = ("/now", "/runs", "/steer", "/rollout", "/traffic")
_FILES = ("console.css", "console.js", "htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css")
_SCRAPE_SECONDS = 1.0
_LOW_PRIORITY = 10


def measure(rounds: int, seconds: float) -> dict[str, float]:
    """Medians over the rounds, the medians of their ratios, and what the watchers saw."""
    found: dict[str, list[Measured]] = {name: [] for name in _ARMS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with on_core(LOAD_CORE):
            collector = stack.enter_context(running_collector())
        arms = {"alone": constant_service(stack, folder / "alone")}
        arms["watched"] = constant_service(
            stack, folder / "watched",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, CONSOLE_PORT=str(free_port()),
        )  # fmt: skip
        bodies = write_bodies(folder / "bodies.jsonl", range(WARM_USERS))
        for services in arms.values():
            post_batch(services, bodies, "known", WARM_USERS)
        watchers = Watchers(_started_console(arms["watched"]), arms["watched"].url)
        stack.callback(watchers.stop)
        with on_core(LOAD_CORE):
            watchers.start()
        for number in range(rounds):
            # alternating order
            for name in _ARMS if number % 2 else reversed(_ARMS):
                services = arms[name]
                url, pid = f"{services.url}/predict", services.pid("api")
                contestant = Contestant(name, url, pid, bodies, seconds)
                with watchers.watching(is_shown=name == "watched"):
                    measured = measure_contestant(services, contestant, number)
                say(f"  {number} {name:<7} {measured}")
                found[name].append(measured)
        seen = {"spans": len(collector.spans), **watchers.figures()}
    return {**compared(found, "watched", "alone"), **seen}


def _started_console(services: Services) -> str:
    """The address of a console on the database of the services."""
    with on_core(LOAD_CORE):
        process = services.start("console")
        os.setpriority(os.PRIO_PROCESS, process.pid, _LOW_PRIORITY)
    url = f"http://127.0.0.1:{services.environment['CONSOLE_PORT']}"

    def alive() -> bool | None:
        try:
            return httpx.get(f"{url}/livez", timeout=2).is_success or None
        except httpx.HTTPError:
            return None

    services.wait_for(alive, timeout_seconds=120)
    return url


@dataclass
class Watchers:
    """Five tabs and a scrape, each a thread; they request nothing while they are hidden."""

    console: str
    api: str
    scrapes: int = 0
    failed: int = 0
    page_ms: list[float] = field(default_factory=list)
    _shown: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Open the tabs one after the other, as a person does."""
        refresh_seconds = {screen.path: screen.refresh_seconds for screen in SCREENS}
        for number, path in enumerate(_TABS):
            tab = httpx.Client(base_url=self.console, timeout=60)
            for asked in (path, *(f"/static/{name}" for name in _FILES)):
                tab.get(asked).raise_for_status()
            read = self._page(tab, path)
            self._repeat(refresh_seconds[path], number * refresh_seconds[path] / len(_TABS), read)
        prometheus = httpx.Client(base_url=self.api, timeout=60)
        self._repeat(_SCRAPE_SECONDS, 0.0, lambda: self._scrape(prometheus))

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def watching(self, *, is_shown: bool) -> "Shown":
        return Shown(self._shown, is_shown)

    def figures(self) -> dict[str, float]:
        slowest = sorted(self.page_ms)[int(0.95 * (len(self.page_ms) - 1))] if self.page_ms else 0
        return {"pages": len(self.page_ms), "page_p95_ms": round(slowest, 1),
                "failed_pages": self.failed, "scrapes": self.scrapes}  # fmt: skip

    def _page(self, tab: httpx.Client, path: str) -> Callable[[], None]:
        """The live part of a page, as htmx asks for it."""
        headers = {"HX-Request": "true", "HX-Target": "live", "HX-Current-URL": self.console + path}

        def read() -> None:
            began = time.perf_counter()
            answer = tab.get(path, headers=headers)
            self.page_ms.append((time.perf_counter() - began) * 1_000)
            if not answer.is_success or "could not be read" in answer.text:
                self.failed += 1

        return read

    def _scrape(self, prometheus: httpx.Client) -> None:
        prometheus.get("/metrics").raise_for_status()
        self.scrapes += 1

    def _repeat(self, seconds: float, offset: float, act: Callable[[], None]) -> None:
        def run() -> None:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
            due = time.monotonic() + offset
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                if self._shown.is_set():
                    act()
                due = max(due + seconds, time.monotonic())

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()


@dataclass(frozen=True, slots=True)
class Shown:
    """The time in which tabs are shown, or not."""

    shown: threading.Event
    is_shown: bool

    def __enter__(self) -> None:
        if self.is_shown:
            self.shown.set()

    def __exit__(self, *_: object) -> None:
        self.shown.clear()
