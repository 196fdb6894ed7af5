"""Floods of one kind after another on a real API: what a polite caller waits, what memory it takes.

The attackers are separate processes, each with a few connections; none has credentials. The
polite caller scores ordinary rows and examines /livez, one request after the other. Beside
the floods: whether a rollback takes less than two seconds, and how much was logged.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from benchmarks.attacks_flood_kinds import FLOODS
from benchmarks.memory import forget_peak, peak_mib
from benchmarks.report import finish
from benchmarks.services import REPOSITORY, Services
from benchmarks.serving_world import make_models, push, write_users
from shared.clock import SystemClock
from shared.keys.tokens import Role, read_token

ATTACKERS = 4
USERS = 200
BAR_MS, BAR_MIB, BAR_ROLLBACK_SECONDS = 50.0, 512.0, 2.0
# Log bytes a second: a day of it has to fit on a small disk.
BAR_LOG_BYTES_PER_SECOND = 20_000.0


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=20, help="of each flood")
    asked.add_argument("--only", nargs="*", choices=sorted(FLOODS))
    asked.add_argument("--models", type=Path, help="a folder that keeps the fitted model")
    said = asked.parse_args()
    names = said.only or list(FLOODS)
    with tempfile.TemporaryDirectory(prefix="understudy-floods-") as name:
        models = said.models or Path(name)
        if not (models / "bundle.zip").exists():
            make_models(models)
        figures = measure(Path(name), models / "bundle.zip", names, said.seconds)
    bars = {f"{flood}_p999_ms": ("<=", BAR_MS) for flood in names}
    bars |= {f"{flood}_peak_mib": ("<=", BAR_MIB) for flood in names}
    bars |= {f"{flood}_rollback_seconds": ("<=", BAR_ROLLBACK_SECONDS) for flood in names}
    bars["log_bytes_per_second"] = ("<=", BAR_LOG_BYTES_PER_SECOND)
    finish("attacks-floods", figures, bars)


def measure(folder: Path, bundle: Path, names: list[str], seconds: float) -> dict[str, float]:
    """The figures of each flood, and of a baseline without one."""
    with Services(folder) as services:
        write_users(services.engine, SystemClock().now_us(), USERS)
        services.start_api()
        push(services.url, folder / "keys", bundle.read_bytes())
        figures, began = {"nobody_p999_ms": _waited(services.url, seconds)}, time.monotonic()
        for name in names:
            forget_peak(services.pid("api"))
            with attacked(services.port, name):
                figures[f"{name}_p999_ms"] = _waited(services.url, seconds)
                figures[f"{name}_rollback_seconds"] = _rollback_seconds(services.url, folder)
            figures[f"{name}_peak_mib"] = peak_mib(services.pid("api"))
            of_this = {key: value for key, value in figures.items() if key.startswith(name)}
            print(of_this, flush=True)
        logged = (folder / "api.log").stat().st_size
        figures["log_bytes_per_second"] = round(logged / (time.monotonic() - began), 1)
    return figures


@contextmanager
def attacked(port: int, name: str) -> Iterator[None]:
    """Running attackers, each a small separate process."""
    command = [sys.executable, "-m", "benchmarks.attacks_flood_kinds", str(port), name]
    attackers = [
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(ATTACKERS)
    ]
    try:
        for attacker in attackers:
            assert attacker.stdout is not None
            attacker.stdout.readline()
        yield
        died = [attacker.poll() for attacker in attackers if attacker.poll() is not None]
        if died:
            raise RuntimeError(f"attackers of {name} ended: {died}")
    finally:
        for attacker in attackers:
            attacker.kill()
            attacker.communicate()


def _waited(url: str, seconds: float) -> float:
    """The p99.9 latency of a polite caller, milliseconds."""
    dice, taken = random.Random(99), []
    with httpx.Client(base_url=url, timeout=60) as client:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            row = {"user_id": f"u{dice.randrange(USERS)}", "amount": round(dice.random() * 90, 2)}
            began = time.perf_counter()
            client.post("/predict", json=row).raise_for_status()
            between = time.perf_counter()
            client.get("/livez").raise_for_status()
            taken += [between - began, time.perf_counter() - between]
            time.sleep(0.002)
    return round(float(np.quantile(taken, 0.999)) * 1e3, 1)


def _rollback_seconds(url: str, folder: Path) -> float:
    """Seconds until an operator's request is answered; there is no version to roll back to."""
    headers = {"Authorization": f"Bearer {read_token(folder / 'keys', Role.OPERATOR)}"}
    began = time.perf_counter()
    httpx.post(f"{url}/rollback_model", json={"reason": "a drill"}, headers=headers, timeout=60)
    return round(time.perf_counter() - began, 3)


if __name__ == "__main__":
    main()
