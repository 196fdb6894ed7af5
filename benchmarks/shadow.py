"""What a version on trial costs the requests of everybody: `make bench-shadow`

One real server under wrk; without a trial, with one in the shadow, and with a canary at 5 %,
in turns for several rounds, so that a machine that slows down slows all of them.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from benchmarks.load import CONNECTIONS, SERVER_CORE, Measured, on_core, press, require_wrk
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving import prepared
from benchmarks.serving_world import push, write_bodies, write_users
from shared.bundle.archive import pack, unpack
from shared.clock import SystemClock
from shared.keys.signing import sign
from shared.keys.store import KeyStore
from shared.keys.tokens import Role, read_token

USERS = 500
WAYS = ("alone", "shadow", "canary")
# As many as keep the server busy all the time, and so few that it has moments to spare.
LOADS = {"": CONNECTIONS, "light_": 2}
BARS: dict[str, Bar] = {
    "shadow_p99_added_ms": ("<=", 1.0),
    "light_shadow_p99_added_ms": ("<=", 1.0),
    "failed": ("==", 0),
}


class Trials:
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
        """What the trial saw, before it is over."""
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


def race(services: Services, trials: Trials, rounds: int, seconds: float) -> dict[str, float]:
    bodies = write_bodies(services.folder / "bodies.jsonl", range(USERS))
    url, pid = f"{services.url}/predict", services.pid("api")
    press(url, pid, bodies, "warm-up-", 2)
    found: dict[str, list[Measured]] = {load + way: [] for way in WAYS for load in LOADS}
    seen: dict[str, float] = {"shadow_scored": 0, "shadow_dropped": 0, "canary_scored": 0}
    for number in range(rounds):
        for way in WAYS:
            version = None if way == "alone" else trials.begin(way)
            # The shadow's process is up, and what was pushed is settled.
            time.sleep(2)
            for load, connections in LOADS.items():
                run = f"{load}{way}-{number}-"
                measured = press(url, pid, bodies, run, seconds, connections)
                sys.stderr.write(f"  {number} {load}{way:<7} {measured}\n")
                found[load + way].append(measured)
            if version is not None:
                for name, value in trials.end(version).items():
                    seen[f"{way}_{name}"] = seen.get(f"{way}_{name}", 0) + value
    return summary(found) | seen


def summary(found: dict[str, list[Measured]]) -> dict[str, float]:
    figures: dict[str, float] = {"failed": sum(m.failed for ms in found.values() for m in ms)}
    for way, rounds in found.items():
        figures[f"{way}_p99_ms"] = round(median(m.p99_ms for m in rounds), 3)
        figures[f"{way}_per_second"] = round(median(m.per_second for m in rounds), 1)
        alone = "light_alone" if way.startswith("light_") else "alone"
        pairs = zip(rounds, found[alone], strict=True)
        figures[f"{way}_p99_added_ms"] = round(median(a.p99_ms - b.p99_ms for a, b in pairs), 3)
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
        figures = race(services, Trials(services, raw), asked.rounds, asked.seconds)
    finish("shadow", figures, BARS)


if __name__ == "__main__":
    main()
