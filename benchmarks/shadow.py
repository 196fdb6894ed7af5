"""The cost of a version on trial for all requests: `make bench-shadow`

One real server; without a trial, with one in the shadow, and with a canary at 5 %, in turns for
several rounds, so that a machine that slows down slows all of them. Latency is of requests that
come at a fixed pace, 250 a second; throughput is of wrk, which keeps the server busy.
"""

import argparse
import http.client
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from benchmarks.load import LOAD_CORE, SERVER_CORE, Measured, on_core, press, require_wrk
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving import prepared
from benchmarks.serving_world import push, write_bodies, write_users
from shared.bundle.archive import pack, unpack
from shared.clock import SystemClock
from shared.keys.store import KeyStore, sign
from shared.keys.tokens import Role, read_token

USERS = 500
WAYS = ("alone", "shadow", "canary")
PACE_SECONDS = 0.004
BARS: dict[str, Bar] = {"shadow_p99_added_ms": ("<=", 1.0), "failed": ("==", 0)}


class VersionPushes:
    """Pushes the same model under ever newer versions."""

    def __init__(self, services: Services, raw: bytes) -> None:
        self._client = httpx.Client(base_url=services.url, timeout=60)
        self._keys = services.folder / "keys"
        self._bundle = unpack(raw)
        self._patch = 0

    def bundle(self) -> tuple[str, bytes]:
        self._patch += 1
        version = f"1.1.{self._patch}"
        manifest = self._bundle.manifest.model_copy(update={"version": version, "files": {}})
        files = {name: raw for name, raw in self._bundle.files.items() if name != "manifest.json"}
        return version, pack(manifest, files)

    def begin(self, way: str) -> str:
        version, raw = self.bundle()
        headers = {
            **self._bearer(),
            "Content-Type": "application/octet-stream",
            "X-Bundle-Signature": sign(raw, KeyStore(self._keys).private_key()),
            "X-Rollout": way,
        }
        self._client.post("/update_model", content=raw, headers=headers).raise_for_status()
        return version

    def end(self, version: str) -> dict[str, float]:
        """The trial's counts before it ends."""
        time.sleep(1)
        rollout = self._client.get("/current_model").json()["rollout"]
        body = {"action": "abort", "version": version, "reason": "bench"}
        answer = self._client.post("/update_rollout", json=body, headers=self._bearer())
        answer.raise_for_status()
        shadow = rollout["shadow"] or {"dropped": 0}
        return {
            "scored": rollout["arms"]["candidate"]["requests"],
            "dropped": shadow["dropped"],
        }

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {read_token(self._keys, Role.PUSH)}"}


def race(
    services: Services, trials: VersionPushes, rounds: int, seconds: float
) -> dict[str, float]:
    bodies = write_bodies(services.folder / "bodies.jsonl", range(USERS))
    url, pid = f"{services.url}/predict", services.pid("api")
    press(url, pid, bodies, "warm-up-", 2)
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    paced: dict[str, list[float]] = {way: [] for way in WAYS}
    seen: dict[str, float] = {"shadow_scored": 0, "shadow_dropped": 0, "canary_scored": 0}
    for number in range(rounds):
        for way in WAYS:
            version = None if way == "alone" else trials.begin(way)
            # Time for the shadow process to start, and for the push to be completed.
            time.sleep(2)
            measured = press(url, pid, bodies, f"{way}-{number}-", seconds)
            found[way].append(measured)
            paced[way] += pace(services.url, bodies, f"paced-{way}-{number}-", seconds)
            sys.stderr.write(f"  {number} {way:<7} {measured} paced {percentile(paced[way])}\n")
            if version is not None:
                for name, value in trials.end(version).items():
                    seen[f"{way}_{name}"] = seen.get(f"{way}_{name}", 0) + value
    return summary(found, paced) | seen


def pace(url: str, bodies: Path, run: str, seconds: float) -> list[float]:
    """Milliseconds of each of some requests that come one after the other at a fixed pace."""
    lines, found = bodies.read_text().splitlines(), []
    address = httpx.URL(url)
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    with on_core(LOAD_CORE):
        due = time.perf_counter()
        for number in range(round(seconds / PACE_SECONDS)):
            due += PACE_SECONDS
            time.sleep(max(0.0, due - time.perf_counter()))
            body = lines[number % len(lines)].replace("@ID", f"{run}{number}")
            began = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
            found.append((time.perf_counter() - began) * 1_000)
    connection.close()
    return found


def percentile(milliseconds: list[float], share: float = 0.99) -> float:
    return round(sorted(milliseconds)[int(share * (len(milliseconds) - 1))], 3)


def summary(found: dict[str, list[Measured]], paced: dict[str, list[float]]) -> dict[str, float]:
    figures: dict[str, float] = {"failed": sum(m.failed for ms in found.values() for m in ms)}
    for way, rounds in found.items():
        figures[f"{way}_per_second"] = round(median(m.per_second for m in rounds), 1)
        figures[f"{way}_p50_ms"] = percentile(paced[way], 0.5)
        figures[f"{way}_p99_ms"] = percentile(paced[way])
        added = percentile(paced[way]) - percentile(paced["alone"])
        figures[f"{way}_p99_added_ms"] = round(added, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--models", type=Path, help="folder that keeps the fitted models")
    asked = parser.parse_args()
    require_wrk()
    with tempfile.TemporaryDirectory() as name, Services(Path(name)) as services:
        raw = (prepared(asked.models or Path(name)) / "bundle.zip").read_bytes()
        write_users(services.engine, SystemClock().now_us(), USERS)
        with on_core(SERVER_CORE):
            services.start_api()
        push(services.url, services.folder / "keys", raw)
        figures = race(services, VersionPushes(services, raw), asked.rounds, asked.seconds)
    finish("shadow", figures, BARS)


if __name__ == "__main__":
    main()
