"""Contestants take turns: each starts with nothing left to do, and is measured once it has run in.

What a load leaves to be stored would otherwise be done while the next contestant is measured: the
next contestant would pay for it, and the load would seem cheaper than it is. So every load of the
service begins with an empty journal, runs until its drain keeps step with it, and only then counts;
processor time is all that it took, until its last row is in the database.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import httpx
import orjson

from benchmarks.load import Measured, family_cpu_seconds, press
from benchmarks.services import Services
from benchmarks.serving_world import write_bodies

# Each load has users of its own: at ten thousand requests a second a user gets a hundred rows
# in some seconds, and a third load with the same users would measure unrealistic windows.
WARM_USERS = 1_000
COLD_USERS = 5_000
USERS_A_ROUND = 2 * WARM_USERS + 2 * COLD_USERS
RUN_IN_SECONDS = 4.0
# or less: until the anonymous users are used up
COLD_SECONDS = 2.0
RATIOS = (
    ("warm", "constant"),
    ("warm", "tutorial"),
    ("cold", "constant"),
    ("analyze", "constant"),
)


@dataclass(frozen=True, slots=True)
class Contestant:
    """An address under load.

    Attributes:
        run_in: bodies of the load before the one that counts; None: what it does is done at once.
        once: each body is sent once.
    """

    name: str
    url: str
    pid: int
    bodies: Path
    seconds: float
    run_in: Path | None = None
    once: bool = False


def race(
    services: Services, others: dict[str, tuple[str, int]], rounds: int, seconds: float
) -> dict[str, float]:
    """Every contestant in every round; the medians, and the ratios of the rounds."""
    found: dict[str, list[Measured]] = {}
    for number in range(rounds):
        for one in _contestants(services, others, number, seconds):
            if one.name in ("warm", "analyze"):
                post_batch(services, one.bodies, f"known-{number}-{one.name}", WARM_USERS)
            measured = measure_contestant(services, one, number)
            say(f"  {number} {one.name:<9} {measured}")
            found.setdefault(one.name, []).append(measured)
    return _summary(found)


def _contestants(
    services: Services, others: dict[str, tuple[str, int]], number: int, seconds: float
) -> Iterator[Contestant]:
    warm, asking, cold, before = bodies_of_round(services.folder, USERS_A_ROUND * number)
    pid = services.pid("api")
    predict, analyze = f"{services.url}/predict", f"{services.url}/api/analyze-transaction"
    (constant, constant_pid), (tutorial, tutorial_pid) = others["constant"], others["tutorial"]
    yield Contestant("constant", f"{constant}/predict", constant_pid, warm, seconds)
    yield Contestant("warm", predict, pid, warm, seconds, warm)
    yield Contestant("cold", predict, pid, cold, COLD_SECONDS, before, once=True)
    yield Contestant("analyze", analyze, pid, asking, seconds, asking)
    yield Contestant("tutorial", f"{tutorial}/predict", tutorial_pid, warm, seconds)


def bodies_of_round(folder: Path, first: int) -> list[Path]:
    """Bodies of this round's own users: for /predict, for /api/analyze-transaction, strangers."""
    edges = [first]
    for users in (WARM_USERS, WARM_USERS, COLD_USERS, COLD_USERS):
        edges.append(edges[-1] + users)
    names = ("warm", "asking", "cold", "before")
    return [
        write_bodies(folder / f"{name}.jsonl", range(begin, end))
        for name, (begin, end) in zip(names, pairwise(edges), strict=True)
    ]


def measure_contestant(services: Services, one: Contestant, number: int) -> Measured:
    settle(services)
    began, requests = family_cpu_seconds(one.pid), 0
    if one.run_in is not None:
        run, seconds = f"{one.name}-in-{number}-", RUN_IN_SECONDS
        requests = press(one.url, one.pid, one.run_in, run, seconds, once=one.once).requests
    run = f"{one.name}-{number}-"
    measured = press(one.url, one.pid, one.bodies, run, one.seconds, once=one.once)
    settle(services)
    spent = family_cpu_seconds(one.pid) - began
    return replace(measured, per_cpu_second=(requests + measured.requests) / spent)


def settle(services: Services) -> float:
    """Wait until every row is in the database; says for how many."""
    left = rows = _backlog(services)
    while rows:
        time.sleep(0.05)
        rows = _backlog(services)
    return left


def _backlog(services: Services) -> float:
    lines = httpx.get(f"{services.url}/metrics", timeout=10).text.splitlines()
    (line,) = [line for line in lines if line.startswith("understudy_journal_backlog ")]
    return float(line.split()[1])


def _summary(found: dict[str, list[Measured]]) -> dict[str, float]:
    figures: dict[str, float] = {"failed": sum(m.failed for ms in found.values() for m in ms)}
    for name, rounds in found.items():
        figures[f"{name}_per_second"] = round(median(m.per_second for m in rounds), 1)
        figures[f"{name}_per_cpu_second"] = round(median(m.per_cpu_second for m in rounds), 1)
        figures[f"{name}_p99_ms"] = round(median(m.p99_ms for m in rounds), 3)
    for name, rival in RATIOS:
        pairs = list(zip(found[name], found[rival], strict=True))
        figures[f"{name}_vs_{rival}"] = _middle(a.per_second / b.per_second for a, b in pairs)
        by_cpu = (a.per_cpu_second / b.per_cpu_second for a, b in pairs)
        figures[f"{name}_vs_{rival}_by_cpu"] = _middle(by_cpu)
    pairs = list(zip(found["warm"], found["constant"], strict=True))
    figures["warm_p99_vs_constant"] = _middle(a.p99_ms / b.p99_ms for a, b in pairs)
    return figures


def _middle(ratios: Iterator[float]) -> float:
    return round(median(ratios), 3)


def post_batch(services: Services, bodies: Path, run: str, rows: int) -> float:
    """Post this many rows as one batch; the seconds it took."""
    known = [orjson.loads(line) for line in bodies.read_bytes().splitlines()]
    instances = [known[at % len(known)] | {"transaction_id": f"{run}-{at}"} for at in range(rows)]
    content = orjson.dumps({"instances": instances})
    headers = {"Content-Type": "application/json"}
    began = time.perf_counter()
    url = f"{services.url}/predict/batch"
    httpx.post(url, content=content, headers=headers, timeout=60).raise_for_status()
    return time.perf_counter() - began


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
