"""Requests a second with everything on, against a constant and a tutorial: `make bench-serving`.

One worker and its journal on one core, wrk on the other, 16 connections, full bodies of fresh
transactions. The contestants take turns for several rounds, so that a machine that slows down
slows all of them; figures are medians over the rounds, and only ratios within one run are bars.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from benchmarks import model_servers, serving_tracing, serving_watched
from benchmarks.load import (
    SERVER_CORE,
    children,
    cpu_seconds,
    on_core,
    press,
    require_wrk,
    resident_mib,
)
from benchmarks.report import Bar, finish
from benchmarks.services import REPOSITORY, Services, free_port
from benchmarks.serving_race import USERS_A_ROUND, WARM_USERS, post_batch, race, say, settle
from benchmarks.serving_world import make_models, push, write_bodies, write_users
from shared.clock import SystemClock

LASTING_USERS, LASTING_SECONDS = 1_000, 12.0
BATCH_ROWS, BATCHES = 1_000, 7
BARS: dict[str, Bar] = {
    "warm_vs_constant": (">=", 1.5),
    "warm_vs_tutorial": (">=", 100.0),
    "cold_vs_constant": (">=", 0.9),
    "analyze_vs_constant": (">=", 1.0),
    "warm_p99_vs_constant": ("<=", 1.5),
    "resident_mib": ("<=", 256.0),
    "start_seconds": ("<=", 2.0),
    "batch_rows_vs_single": (">=", 20.0),
    "failed": ("==", 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--models", type=Path, help="folder that keeps the fitted models")
    parser.add_argument(
        "--tracing", action="store_true", help="only: with traces beside without, one model"
    )
    parser.add_argument(
        "--watched", action="store_true",
        help="only: with a console in five tabs, traces and a scrape each second beside without",
    )  # fmt: skip
    asked = parser.parse_args()
    require_wrk()
    if asked.tracing:
        finish("serving_tracing", serving_tracing.measure(asked.rounds, asked.seconds),
               serving_tracing.BARS)  # fmt: skip
    if asked.watched:
        finish("serving_watched", serving_watched.measure(asked.rounds, asked.seconds),
               serving_watched.BARS)  # fmt: skip
    with tempfile.TemporaryDirectory() as name, Services(Path(name)) as services:
        folder = Path(name)
        models = prepared(asked.models or folder)
        users = USERS_A_ROUND * asked.rounds + WARM_USERS + LASTING_USERS
        say("writing history")
        write_users(services.engine, SystemClock().now_us(), users)
        started = first_start(services, (models / "bundle.zip").read_bytes())
        with rivals(models / "models.pickle") as others:
            figures = race(services, others, asked.rounds, asked.seconds)
        warm = figures["warm_per_second"]
        first = USERS_A_ROUND * asked.rounds
        figures |= {**started, **batch(services, range(first, first + WARM_USERS), warm)}
        figures |= lasting(services, range(first + WARM_USERS, users))
        services.stop("api")
        servers = model_servers.measure(models / "models.pickle", folder, asked.rounds)
        figures |= model_servers.against(servers, warm)
    finish("serving", figures, BARS)


def prepared(folder: Path) -> Path:
    if not (folder / "models.pickle").exists():
        say("fitting the models")
        folder.mkdir(exist_ok=True)
        make_models(folder)
    return folder


def first_start(services: Services, bundle: bytes) -> dict[str, float]:
    """Push the model, start again, and time that from the process to the first 200."""
    with on_core(SERVER_CORE):
        services.start_api()
        push(services.url, services.folder / "keys", bundle)
        services.stop("api")
        began = time.perf_counter()
        process = services.start("api")
    while not _scores(services.url):
        if process.poll() is not None:
            raise RuntimeError(services.log_ends())
        time.sleep(0.01)
    return {
        "start_seconds": round(time.perf_counter() - began, 3),
        "start_cpu_seconds": cpu_seconds(process.pid),
        "start_mib": resident_mib(process.pid),
    }


def _scores(url: str) -> bool:
    try:
        return httpx.post(f"{url}/predict", json={"amount": 1.0}, timeout=5).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def rivals(models: Path) -> Iterator[dict[str, tuple[str, int]]]:
    """Both rivals, each as a process: name -> address and process id."""
    started: dict[str, tuple[str, int]] = {}
    processes = []
    try:
        for kind in ("constant", "tutorial"):
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.rivals", kind, str(port), str(models)]
            with on_core(SERVER_CORE):
                process = subprocess.Popen(command, cwd=REPOSITORY)
            processes.append(process)
            started[kind] = (f"http://127.0.0.1:{port}", process.pid)
        for url, _ in started.values():
            deadline = time.monotonic() + 60
            while not _scores(url) and time.monotonic() < deadline:
                time.sleep(0.1)
        yield started
    finally:
        for process in processes:
            process.kill()
            process.wait()


def lasting(services: Services, users: range) -> dict[str, float]:
    """One long load of known users, in which nothing can be put off, and what it leaves to do."""
    bodies, pid = write_bodies(services.folder / "lasting.jsonl", users), services.pid("api")
    post_batch(services, bodies, "known-lasting", len(users))
    measured = press(f"{services.url}/predict", pid, bodies, "lasting-", LASTING_SECONDS)
    say(f"  lasting   {measured}")
    return {
        "lasting_per_second": round(measured.per_second, 1),
        "lasting_failed": measured.failed,
        **after_the_load(services, pid),
    }


def after_the_load(services: Services, pid: int) -> dict[str, float]:
    """The backlog after the load, and memory of the worker and of its drain."""
    began = time.perf_counter()
    left = settle(services)
    return {
        "rows_left_in_journal": left,
        "seconds_to_drain_them": round(time.perf_counter() - began, 2) if left else 0.0,
        "resident_mib": resident_mib(pid),
        "drain_mib": sum(map(resident_mib, children(pid))),
    }


def batch(services: Services, users: range, single_per_second: float) -> dict[str, float]:
    """Rows a second in batches of known users, one batch after the other."""
    warm = write_bodies(services.folder / "batch.jsonl", users)
    post_batch(services, warm, "known-batch", len(users))
    taken = [post_batch(services, warm, f"batch-{n}", BATCH_ROWS) for n in range(BATCHES)]
    rate = BATCH_ROWS / median(taken)
    return {
        "batch_rows_per_second": round(rate, 1),
        "batch_rows_vs_single": round(rate / single_per_second, 3),
    }


if __name__ == "__main__":
    main()
