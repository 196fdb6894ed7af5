"""Rollback end to end: a bad version becomes live, and is rolled back. `make bench-rollback`

Real API, Prometheus and Alertmanager, with the shipped rules; each case has its own service.
A good version serves until it counts as one that served well; then a bad one is pushed, or
something happens that must not be taken for one. Each case has to end on the last good version,
with a notification that names the version and the reason.

`--scale 0.1` shortens every duration of the monitoring to a tenth, and sends ten times as many
requests, because rules count rows (for CI); `--only CASE` runs one. Whole it takes about forty
minutes.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import which

from benchmarks.load import press, require_wrk
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving_world import push
from shared.keys.tokens import Role, read_token
from understudy.rehearsal import models
from understudy.rehearsal.monitoring import PROGRAMS, Monitoring

GOOD, BAD, NEXT = "1.0.0", "1.0.1", "1.0.2"
# Limit for the rollback of a bad version; the other cases are watched for this long.
MOST_SECONDS = 180.0
# Notifications take a group_wait of half a minute at most, and three scrapes.
_TOLD_SECONDS = 90.0
_PER_SECOND = 5.0
_SERVED_WELL = {"SERVED_WELL_SECONDS": "10", "SERVED_WELL_ROWS": "30"}
_BY_ALERTS_ALONE = {"BREAKER_FAILURES": "0"}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that happens.

    Attributes:
        happens: what is done once the good version has served well.
        ends_on: the version that has to serve in the end.
        leaves: the version that the notification names; None: no rollback.
        history_seconds: of traffic before it happens, beyond what it takes to have served well.
        saturated: as many requests as the service takes, not five a second.
    """

    name: str
    happens: Callable[["World"], None]
    ends_on: str = GOOD
    leaves: str | None = BAD
    history_seconds: float = 0.0
    saturated: bool = False
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class World:
    """A service under load, and who watches it."""

    services: Services
    monitoring: Monitoring
    scale: float

    def push(self, raw: bytes) -> None:
        push(self.services.url, self.services.folder / "keys", raw)

    def serving(self) -> str:
        """Read from disk: a service that a bad version holds up is slow to answer."""
        path = self.services.folder / "prod_models" / "current_version.txt"
        return path.read_text().strip()

    def change_by_hand(self, version: str) -> None:
        scratch = self.services.folder / "prod_models" / "x"
        scratch.write_text(f"{version}\n")
        scratch.rename(scratch.with_name("current_version.txt"))

    def served_well(self) -> bool:
        ledger = json.loads((self.services.folder / "prod_models" / "ledger.json").read_text())
        return ledger["activations"][-1]["served_well_at_us"] is not None


def _pushes(make: Callable[[str], bytes]) -> Callable[[World], None]:
    return lambda world: world.push(make(BAD))


def _fix_forward(world: World) -> None:
    """A good version over a blocking one, before anybody has noticed."""
    world.push(models.blocking(BAD))
    time.sleep(20 * world.scale)
    world.push(models.good(NEXT))


def _hand_change(world: World) -> None:
    world.push(models.blocking(BAD))
    time.sleep(20 * world.scale)
    world.change_by_hand(GOOD)


def _slightly_slow(version: str) -> bytes:
    """Below what the breaker counts as a failure."""
    return models.slow(version, 1)


def _very_slow(version: str) -> bytes:
    return models.slow(version, 8)


_ALERTS = tuple(_BY_ALERTS_ALONE.items())
_TWO = (("API_WORKERS", "2"),)
CASES = (
    Case("slow_at_5_a_second", _pushes(_slightly_slow), settings=_ALERTS),
    Case("very_slow_at_5_a_second", _pushes(_very_slow)),
    Case("slow_at_saturation", _pushes(_very_slow), saturated=True),
    Case("failing", _pushes(models.failing)),
    Case("failing_by_alerts_alone", _pushes(models.failing), settings=_ALERTS),
    Case("blocking_on_a_first_day", _pushes(models.blocking)),
    Case("blocking_with_history", _pushes(models.blocking), history_seconds=300),
    Case("blocking_on_two_workers", _pushes(models.blocking), settings=_TWO),
    Case("fix_forward", _fix_forward, ends_on=NEXT, leaves=None),
    Case("hand_change", _hand_change),
    Case("same_model_at_saturation", _pushes(models.good), BAD, None, saturated=True),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a case; seconds from the event to the version that had to serve."""

    case: Case
    ended_well: bool
    seconds: float
    told: str | None


def run(case: Case, scale: float) -> Result:
    """One case on its own service."""
    settings = {**_SERVED_WELL, **dict(case.settings), "LOG_LEVEL": "warning"}
    # ignore_cleanup_errors: workers outlive their supervisor briefly, and write files.
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with folder as name, Services(Path(name), **settings) as services:
        services.start_api()
        token = read_token(services.folder / "keys", Role.ALERT)
        with Monitoring(services.folder, services.port, token, scale) as monitoring:
            world = World(services, monitoring, scale)
            world.push(models.good(GOOD))
            with _load(services, None if case.saturated else _PER_SECOND / scale):
                services.wait_for(lambda: world.served_well() or None, timeout_seconds=120)
                time.sleep(case.history_seconds * scale)
                result = _watch(world, case)
        with suppress(subprocess.TimeoutExpired):
            services.stop("api")
    return result


def _watch(world: World, case: Case) -> Result:
    case.happens(world)
    began = time.monotonic()
    limit = MOST_SECONDS * world.scale
    if case.leaves is None or case.happens is _hand_change:
        # The expected version serves already: check that it stays in service.
        time.sleep(limit)
        seconds = 0.0
    else:
        while world.serving() != case.ends_on and time.monotonic() < began + limit + 60:
            time.sleep(0.1)
        seconds = time.monotonic() - began
    told = _told(world, case, time.monotonic() + _TOLD_SECONDS * max(world.scale, 0.3))
    return Result(case, world.serving() == case.ends_on, seconds, told)


def _told(world: World, case: Case, deadline: float) -> str | None:
    if case.leaves is None:
        return world.monitoring.people.heard_of(case.ends_on)
    while time.monotonic() < deadline:
        told = world.monitoring.people.heard_of(case.leaves)
        if told:
            return told
        time.sleep(0.2)
    return None


@contextmanager
def _load(services: Services, per_second: float | None) -> Iterator[None]:
    """None: as many requests as it takes."""
    done = threading.Event()
    work = _saturate if per_second is None else partial(_trickle, per_second)
    thread = threading.Thread(target=work, args=(services, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(60)


def _trickle(per_second: float, services: Services, done: threading.Event) -> None:
    """Requests at fixed instants; every third is one that a failing version fails on."""
    number, due = 0, time.monotonic()
    while not done.wait(max(0.0, due - time.monotonic())):
        amount = models.FAILING_AMOUNT if number % 3 == 0 else 20.0
        body = {"amount": amount, "user_id": f"u{number % 50}", "transaction_id": f"t{number}"}
        link = http.client.HTTPConnection("127.0.0.1", services.port, timeout=10)
        try:
            link.request("POST", "/predict", json.dumps(body), {"Content-Type": "application/json"})
            link.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass  # its answers are not checked here
        finally:
            link.close()
        number, due = number + 1, max(due + 1 / per_second, time.monotonic() - 1)


def _saturate(services: Services, done: threading.Event) -> None:
    bodies = services.folder / "bodies"
    lines = ({"amount": 20.0, "user_id": f"u{n}", "transaction_id": "@ID"} for n in range(200))
    bodies.write_text("".join(json.dumps(line) + "\n" for line in lines))
    turn = 0
    while not done.is_set():
        url, pid = f"{services.url}/predict", services.pid("api")
        press(url, pid, bodies, f"s{turn}-", seconds=4, connections=64)
        turn += 1


def figures_of(results: list[Result]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for result in results:
        name = result.case.name
        figures[f"{name}_ended_well"] = float(result.ended_well)
        figures[f"{name}_told"] = float(
            (result.told is not None) == (result.case.leaves is not None)
        )
        figures[f"{name}_seconds"] = round(result.seconds, 1)
    return figures


def bars_of(cases: list[Case], scale: float) -> dict[str, Bar]:
    bars: dict[str, Bar] = {}
    for case in cases:
        bars[f"{case.name}_ended_well"] = bars[f"{case.name}_told"] = ("==", 1)
        # Scrapes and rule evaluation take time that does not scale with the durations.
        bars[f"{case.name}_seconds"] = ("<=", max(MOST_SECONDS * scale, 30.0))
    return bars


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of every duration")
    parser.add_argument("--only", choices=[case.name for case in CASES])
    asked = parser.parse_args()
    missing = [name for name in PROGRAMS if which(name) is None]
    if missing:
        sys.exit(f"bench-rollback needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    cases = [case for case in CASES if asked.only in (None, case.name)]
    if any(case.saturated for case in cases):
        require_wrk()
    results = []
    for case in cases:
        result = run(case, asked.scale)
        results.append(result)
        sys.stderr.write(
            f"{case.name}: {'ended well' if result.ended_well else 'ENDED BADLY'} after "
            f"{result.seconds:.1f} s; people were told: {result.told}\n"
        )
    finish("rollback", figures_of(results), bars_of(cases, asked.scale))


if __name__ == "__main__":
    main()
