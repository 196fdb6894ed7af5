"""A few busy users at the limit, for minutes: `make bench-saturation`.

Users whose rows come as fast as the service takes them soon have thousands each. What they need no
longer fits where it fitted, and each row costs more; throughput may sink, but not fall. Segments of
one lasting load are compared: the last with the second, as the first is spent on getting warm.
`--seconds 90 --users 500 2000` is the short form.
"""

import argparse
import tempfile
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from benchmarks.load import SERVER_CORE, Measured, on_core, press, require_wrk, resident_mib
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving import prepared
from benchmarks.serving_race import say, settle
from benchmarks.serving_world import push, write_bodies, write_users
from shared.clock import SystemClock
from tests.postgres import running_postgres

MOST_SEGMENT_SECONDS = 60.0
LEAST_SEGMENTS = 6


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=600.0, help="of the load of each count")
    asked.add_argument("--users", type=int, nargs="+", default=[500], help="one load for each")
    asked.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    asked.add_argument("--models", type=Path, help="folder that keeps the fitted models")
    said = asked.parse_args()
    require_wrk()
    figures: dict[str, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bundle = (prepared(said.models or folder) / "bundle.zip").read_bytes()
        settings = {}
        if said.database == "postgresql":
            settings["DATABASE_URL"] = stack.enter_context(running_postgres()).new_database()
        services = stack.enter_context(Services(folder, **settings))
        write_users(services.engine, SystemClock().now_us(), sum(said.users))
        with on_core(SERVER_CORE):
            services.start_api()
        push(services.url, folder / "keys", bundle)
        first = 0
        for count in said.users:
            segments = _saturate(services, range(first, first + count), said.seconds)
            figures |= _figures(count, segments)
            first += count
        figures["resident_mib"] = resident_mib(services.pid("api"))
    finish("saturation", figures, _bars(said.users))


def _saturate(services: Services, users: range, seconds: float) -> list[Measured]:
    """The segments of one load; between two of them it stops for the start of the load tool."""
    bodies = write_bodies(services.folder / f"saturation-{len(users)}.jsonl", users)
    url, pid = f"{services.url}/predict", services.pid("api")
    each = min(MOST_SEGMENT_SECONDS, seconds / LEAST_SEGMENTS)
    found = []
    for number in range(round(seconds / each)):
        found.append(press(url, pid, bodies, f"s{len(users)}-{number}-", each))
        say(f"  {len(users)} users {number} {found[-1]} {resident_mib(pid)} MiB")
    settle(services)
    return found


def _figures(users: int, segments: list[Measured]) -> dict[str, float]:
    second, last = segments[1], segments[-1]
    steps = [b.per_cpu_second / a.per_cpu_second for a, b in pairwise(segments[1:])]
    return {
        f"users_{users}_second_per_second": round(second.per_second, 1),
        f"users_{users}_last_per_second": round(last.per_second, 1),
        f"users_{users}_last_of_second": round(last.per_second / second.per_second, 3),
        f"users_{users}_last_of_second_by_cpu": round(
            last.per_cpu_second / second.per_cpu_second, 3
        ),
        f"users_{users}_largest_step_by_cpu": round(min(steps), 3),
        f"users_{users}_p99_growth": round(last.p99_ms / second.p99_ms, 2),
        f"users_{users}_failed": sum(each.failed for each in segments),
    }


def _bars(counts: list[int]) -> dict[str, Bar]:
    bars: dict[str, Bar] = {}
    for users in counts:
        bars[f"users_{users}_last_of_second"] = (">=", 0.8)
        bars[f"users_{users}_p99_growth"] = ("<=", 2.0)
        bars[f"users_{users}_failed"] = ("==", 0)
    return bars


if __name__ == "__main__":
    main()
