"""Expensive rows of an attacker, and the latency of another caller's rows meanwhile.

A real API serves a fitted model. An attacker of its own process sends what is named, over and over;
meanwhile one other caller sends ordinary rows and examines /livez, one request after the other.
His waiting is the figure: the bar is 50 ms at p99.9.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import Engine

from benchmarks.memory import peak_mib
from benchmarks.report import finish
from benchmarks.services import Services
from benchmarks.serving_world import make_models, push, write_users
from shared.clock import MICROS_PER_DAY, SystemClock
from shared.tables.writer import write_history_records

GUEST_ROWS = 250_000
GUESTS, ROWS_PER_GUEST = 40, 2_500
USERS = 500
BATCH_ROWS = 1_000
CONNECTIONS = 4
BAR_MS = 50.0
_COLUMNS = ("transaction_id", "user_id", "event_time", "ingested_at", "amount", "currency",
            "merchant_id", "transaction_type")  # fmt: skip

Bodies = Callable[[random.Random], tuple[str, bytes]]
"""The next path and body that an attacker sends."""


@dataclass(frozen=True, slots=True)
class RowAttack:
    """One way to make rows cost much."""

    name: str
    next_body: Bodies


def row_of(user: str, dice: random.Random) -> dict[str, Any]:
    return {"user_id": user, "merchant_id": f"m{dice.randrange(400)}", "amount": dice.random() * 90}


def _batch(rows: list[dict[str, Any]]) -> tuple[str, bytes]:
    return "/predict/batch", json.dumps({"instances": rows}).encode()


def one_guest(dice: random.Random) -> tuple[str, bytes]:
    return "/predict", json.dumps(row_of("guest", dice)).encode()


def late_guest(dice: random.Random) -> tuple[str, bytes]:
    """Half an hour late, so that no cached window can score it."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - dice.randrange(600, 1_800)))
    return "/predict", json.dumps({**row_of("guest", dice), "event_time": at}).encode()


def many_guests(dice: random.Random) -> tuple[str, bytes]:
    return _batch([row_of(f"guest{dice.randrange(GUESTS)}", dice) for _ in range(BATCH_ROWS)])


def guest_batch(dice: random.Random) -> tuple[str, bytes]:
    return _batch([row_of("guest", dice) for _ in range(BATCH_ROWS)])


def ordinary_batch(dice: random.Random) -> tuple[str, bytes]:
    return _batch([row_of(f"u{dice.randrange(USERS)}", dice) for _ in range(BATCH_ROWS)])


def wrong_batch(dice: random.Random) -> tuple[str, bytes]:
    wrong = {f"unknown{n}": n for n in range(20)}
    return _batch([{**row_of("guest", dice), "amount": -1, **wrong} for _ in range(BATCH_ROWS)])


ATTACKS = (
    RowAttack("one_guest", one_guest),
    RowAttack("late_rows_of_one_guest", late_guest),
    RowAttack("batches_of_one_guest", guest_batch),
    RowAttack("batches_of_many_guests", many_guests),
    RowAttack("ordinary_batches", ordinary_batch),
    RowAttack("wrong_batches", wrong_batch),
)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=20, help="of each attack")
    asked.add_argument("--only", choices=[attack.name for attack in ATTACKS])
    asked.add_argument("--models", type=Path, help="a folder that keeps the fitted model")
    said = asked.parse_args()
    attacks = [attack for attack in ATTACKS if said.only in (None, attack.name)]
    with tempfile.TemporaryDirectory(prefix="understudy-rows-") as name:
        models = said.models or Path(name)
        if not (models / "bundle.zip").exists():
            make_models(models)
        figures = measure_row_attacks(Path(name), models / "bundle.zip", attacks, said.seconds)
    bars = {f"{attack.name}_p999_ms": ("<=", BAR_MS) for attack in attacks}
    finish("attacks-rows", figures, bars)


def measure_row_attacks(
    folder: Path, bundle: Path, attacks: list[RowAttack], seconds: float
) -> dict[str, float]:
    """Waiting times of another caller with and without each attack, and the peak memory."""
    with Services(folder) as services:
        write_past(services.engine)
        services.start_api()
        push(services.url, folder / "keys", bundle.read_bytes())
        figures = {"nobody_p999_ms": _waited(services.url, seconds)}
        for attack in attacks:
            with attacked(services.url, attack):
                figures[f"{attack.name}_p999_ms"] = _waited(services.url, seconds)
        figures["peak_memory_mib"] = peak_mib(services.pid("api"))
    return figures


def write_past(engine: Engine) -> None:
    """A guest of a shop that sends one id for all, some smaller ones, and ordinary users."""
    now_us = SystemClock().now_us()
    write_users(engine, now_us, USERS)
    rows = _rows("guest", GUEST_ROWS, now_us)
    with engine.begin() as connection:
        while chunk := list(islice(rows, 50_000)):
            write_history_records(connection, _COLUMNS, chunk)
        for number in range(GUESTS):
            some = _rows(f"guest{number}", ROWS_PER_GUEST, now_us)
            write_history_records(connection, _COLUMNS, list(some))


def _rows(user: str, count: int, now_us: int) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        at_us = now_us - (count - number) * (29 * MICROS_PER_DAY // count)
        what = ("EUR", f"m{number % 400}", "purchase")
        yield (f"{user}-{number}", user, at_us, at_us, float(number % 977), *what)


@contextmanager
def attacked(url: str, attack: RowAttack) -> Iterator[None]:
    """Attackers at work, each a process with a connection."""
    context = multiprocessing.get_context("spawn")
    attackers = [
        context.Process(target=_attack, args=(url, attack.next_body, number), daemon=True)
        for number in range(CONNECTIONS)
    ]
    for attacker in attackers:
        attacker.start()
    try:
        yield
    finally:
        for attacker in attackers:
            attacker.kill()
            attacker.join()


def _attack(url: str, next_body: Bodies, number: int) -> None:
    dice = random.Random(number)
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=120) as client:
        while True:
            path, body = next_body(dice)
            client.post(path, content=body)


def _waited(url: str, seconds: float) -> float:
    """The p99.9 latency of an ordinary caller, milliseconds."""
    dice, taken = random.Random(99), []
    with httpx.Client(base_url=url, timeout=120) as client:
        client.post("/predict", json=row_of("u1", dice)).raise_for_status()
        time.sleep(min(3.0, seconds / 4))  # time for the attackers to start
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            row = row_of(f"u{dice.randrange(USERS)}", dice)
            began = time.perf_counter()
            client.post("/predict", json=row).raise_for_status()
            between = time.perf_counter()
            client.get("/livez").raise_for_status()
            taken += [between - began, time.perf_counter() - between]
            time.sleep(0.002)
    print(
        f"{len(taken)} requests, median {np.median(taken) * 1e3:.2f} ms, max {max(taken) * 1e3:.1f}"
    )
    return round(float(np.quantile(taken, 0.999)) * 1e3, 1)


if __name__ == "__main__":
    main()
