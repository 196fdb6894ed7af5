"""Swaps under steady load on two workers: none fails, none is torn, few wait. `make bench-swap`

Two versions of the trained graph take turns, by named rollback: the same change of the registry and
the same assignment in each worker as after a push, without the second that a push spends in its
smoke test; a few pushes of new versions come after them. Every version scales the graph's scores,
into [0, 0.4] or, with an odd patch number, into [0.5, 0.9], so that a score identifies its version.
An answer is torn when its score is not of the version it names, or its header names another; it is
stale when it names the old version although the swap had been answered before the request was sent.

The load is open: each client sends at its own fixed instants, and an answer's time counts from
the instant it was due. Blocks with and without swaps take turns.
"""

import argparse
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.load import LOAD_CORE, SERVER_CORE, on_core
from benchmarks.report import Bar, finish
from benchmarks.scoring import ask_about, bundle_of, simulated_examples
from benchmarks.services import Services
from benchmarks.serving_world import push
from shared.bundle.archive import Bundle, pack
from shared.keys.tokens import Role, read_token
from usecases.fraud.training.candidate import train_candidate

WORKERS, CLIENTS, PER_SECOND = 2, 8, 200
VERSIONS = ("1.0.0", "1.0.1")
PUSHES = 10
ROWS_A_CONNECTION = 50
SCALE, ODD = 0.4, 0.5
BLOCKS = 5
PHASES = ("steady", "swapping", "pushing")
STEADY_SECONDS = 15.0
BARS: dict[str, Bar] = {
    "swaps": (">=", 1_000),
    "failed": ("==", 0),
    "torn": ("==", 0),
    "stale": ("==", 0),
    "p99_swapping_over_steady": ("<=", 2.0),
}


def trained() -> Bundle:
    examples = simulated_examples()
    ask = ask_about(examples)
    return bundle_of(train_candidate(ask, lambda _what, _share: None), ask)


def marked(bundle: Bundle, version: str) -> bytes:
    """The same model, its scores moved to where this version's are."""
    model = onnx.load_model_from_string(bundle.files["model.onnx"])
    for node in model.graph.node:
        node.output[:] = ["unmarked" if name == "scores" else name for name in node.output]
    scale = numpy_helper.from_array(np.array(SCALE, np.float32), "mark_scale")
    offset = numpy_helper.from_array(np.array(ODD * _is_odd(version), np.float32), "mark_offset")
    model.graph.initializer.extend([scale, offset])
    model.graph.node.append(helper.make_node("Mul", ["unmarked", "mark_scale"], ["scaled"]))
    model.graph.node.append(helper.make_node("Add", ["scaled", "mark_offset"], ["scores"]))
    manifest = bundle.manifest.model_copy(update={"version": version})
    return pack(manifest, {**bundle.files, "model.onnx": model.SerializeToString()})


class Clients:
    """Threads that score at fixed instants and check each answer."""

    def __init__(self, url: str) -> None:
        self.failed = self.torn = self.stale = 0
        self.milliseconds: dict[str, list[float]] = {name: [] for name in PHASES}
        self.phase = "steady"
        # Version and number that every response has to name; None: a swap is in progress.
        self.settled: tuple[str, int] | None = None
        self._address = urlsplit(url).netloc
        self._lock = threading.Lock()
        self._done = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._work, args=(n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _work(self, client: int) -> None:
        link = http.client.HTTPConnection(self._address, timeout=30)
        pause = CLIENTS / PER_SECOND
        due = time.perf_counter() + pause * client / CLIENTS
        number = 0
        while not self._done.is_set():
            time.sleep(max(0.0, due - time.perf_counter()))
            self._one(link, f"{client}-{number}", due)
            number += 1
            due += pause
            if number % ROWS_A_CONNECTION == 0:
                # A new connection may reach another worker.
                link.close()

    def _one(self, link: http.client.HTTPConnection, name: str, due: float) -> None:
        settled, phase = self.settled, self.phase
        body = {"amount": 5.0, "user_id": f"u{hash(name) % 200}", "transaction_id": name}
        headers = {"Content-Type": "application/json"}
        failed = torn = stale = False
        try:
            link.request("POST", "/predict", json.dumps(body), headers)
            answer = link.getresponse()
            told = json.loads(answer.read())
            failed = answer.status != 200
            version = "" if failed else told["version"]
            torn = not failed and _is_torn(told, answer.headers["x-model-version"])
            stale = not failed and settled is not None and version != settled[0]
        except (OSError, http.client.HTTPException, ValueError):
            failed = True
            link.close()
        took = (time.perf_counter() - due) * 1_000
        with self._lock:
            self.failed += failed
            self.torn += torn
            # Only stale if no other swap has started during the request.
            self.stale += stale and settled == self.settled
            self.milliseconds[phase].append(took)


def _is_torn(told: dict[str, float | str], header: str | None) -> bool:
    odd = float(told["probability"]) >= ODD
    return told["version"] != header or odd != _is_odd(header)


def _is_odd(version: str) -> bool:
    return int(version.rpartition(".")[2]) % 2 == 1


def swap(operator: httpx.Client, headers: dict[str, str], clients: Clients, number: int) -> bool:
    wanted = VERSIONS[number % 2]
    clients.settled = None
    body = {"version": wanted, "reason": "bench"}
    answer = operator.post("/rollback_model", json=body, headers=headers)
    done = answer.is_success and answer.json()["partial"] is False
    if done:
        clients.settled = (wanted, number)
    else:
        sys.stderr.write(f"{answer.text}\n")
    return done


def measure(services: Services, swaps: int, fresh: list[bytes]) -> dict[str, float]:
    keys = services.folder / "keys"
    headers = {"Authorization": f"Bearer {read_token(keys, Role.OPERATOR)}"}
    clients, done, spent = Clients(services.url), 0, 0.0
    with clients.at_work(), httpx.Client(base_url=services.url, timeout=30) as operator:
        time.sleep(3)
        clients.milliseconds["steady"].clear()
        for block in range(BLOCKS):
            clients.phase = "steady"
            time.sleep(STEADY_SECONDS)
            clients.phase = "swapping"
            began = time.perf_counter()
            numbers = range(block * swaps // BLOCKS, (block + 1) * swaps // BLOCKS)
            done += sum(swap(operator, headers, clients, number) for number in numbers)
            spent += time.perf_counter() - began
        clients.phase, clients.settled = "pushing", None
        for raw in fresh:
            push(services.url, keys, raw)
    return {
        "swaps": float(done),
        "milliseconds_a_swap": round(spent / swaps * 1_000, 1),
        "pushes": float(len(fresh)),
        "failed": float(clients.failed),
        "torn": float(clients.torn),
        "stale": float(clients.stale),
        **_times(clients),
        "share_of_quieter_worker": _quieter(services.url),
    }


def _times(clients: Clients) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, times in clients.milliseconds.items():
        figures[f"answers_{name}"] = float(len(times))
        figures[f"p50_ms_{name}"] = round(float(np.percentile(times, 50)), 2)
        figures[f"p99_ms_{name}"] = round(float(np.percentile(times, 99)), 2)
    ratio = figures["p99_ms_swapping"] / figures["p99_ms_steady"]
    return {**figures, "p99_swapping_over_steady": round(ratio, 2)}


def _quieter(url: str) -> float:
    """The share of rows that the less busy worker scored."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    rows = [
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith('understudy_requests_total{route="/predict",status="200"')
    ]
    return round(min(rows) / sum(rows), 2) if len(rows) == WORKERS else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=1_000)
    swaps = parser.parse_args().swaps
    bundle = trained()
    fresh = [marked(bundle, f"1.0.{patch}") for patch in range(2, 2 + PUSHES)]
    settings = {"API_WORKERS": str(WORKERS), "CHANGES_PER_MINUTE": "0", "LOG_LEVEL": "error"}
    with tempfile.TemporaryDirectory() as name, Services(Path(name), **settings) as services:
        with on_core(SERVER_CORE):
            services.start_api()
        for version in VERSIONS:
            push(services.url, services.folder / "keys", marked(bundle, version))
        with on_core(LOAD_CORE):
            figures = measure(services, swaps, fresh)
        services.stop("api")
    finish("swap", figures, BARS)


if __name__ == "__main__":
    main()
