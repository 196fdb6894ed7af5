"""Two schedulers on one database, killed at random instants: nothing lost, nothing doubled.

Real processes, real SIGKILLs, SQLite and PostgreSQL. Due instants come by a clock that runs
4,320 times as fast, so that twelve hours take ten seconds; leases run in real time.

`--separate-disks`: as on two hosts, with nothing in common but the database and a bucket
(SeaweedFS), from which one or both are cut off now and then; the champion's bundle comes from the
bucket or the API, in some of these partitions from neither. None promotes what it has not compared.
"""

import argparse
import itertools
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.chaos_hosts import SeparateHosts, separate_hosts
from benchmarks.chaos_world import NAMES, OPEN, Chaos, due_instants, is_open, say
from benchmarks.report import Bar, finish
from scheduler.decision import METRICS
from scheduler.schedule.jobs import RETRAINING
from shared.clock import MICROS_PER_SECOND
from shared.tables.engine import connect, migrate
from shared.tables.job_schedules import read_schedules
from shared.tables.runs import Run, RunStatus, list_runs
from tests.postgres import running_postgres
from tests.scheduler.accepting_api import AcceptingApi, accepting_api
from tests.scheduler.processes import start

DEFAULT_LEASE_SECONDS = 15
WEEK_US = 7 * 86_400 * MICROS_PER_SECOND


def figures(chaos: Chaos) -> dict[str, float]:
    """The state of the rows and of the API afterwards."""
    runs = list_runs(chaos.engine, 10_000)
    scheduled = {run.scheduled_for: run for run in runs if run.requested_by == "schedule"}
    [schedule] = [one for one in read_schedules(chaos.engine) if one.job == RETRAINING]
    expected = due_instants(chaos.began_us, schedule.in_force_since_us, chaos.ended_us)
    lost = [due for due in expected if due not in scheduled or is_lost(scheduled[due])]
    promoted = {run.model_version for run in runs if run.status is RunStatus.SUCCEEDED}
    accepted = [str(one.version) for one in chaos.api.accepted]
    numbers = [one.fencing_number for one in chaos.api.accepted]
    counts = Counter(run.status.value.lower() for run in runs)
    say(f"  {dict(counts)}; failed: {[run.message for run in runs if run.status == 'FAILED']}")
    say(f"  lost: {[(due, scheduled.get(due)) for due in lost]}")
    say(f"  refused pushes: {Counter(chaos.api.refused)}")
    return {
        "kills": chaos.kills,
        "simulated_weeks": round((chaos.ended_us - chaos.began_us) / WEEK_US, 2),
        "due": len(expected),
        "lost": len(lost),
        # rows are unique by job and instant; an instant that was never scheduled is invented
        "invented": len(set(scheduled) - set(due_instants(chaos.began_us, 0, chaos.now_us()))),
        "promotions": len(accepted),
        # every bundle that the API accepted belongs to exactly one successful run
        "promotions_without_comparison": sum(is_uncompared(run, accepted[0]) for run in runs),
        "duplicate_promotions": len(accepted) - len(promoted & set(accepted)),
        "promotions_out_of_order": sum(a >= b for a, b in itertools.pairwise(numbers)),
        "open": sum(is_open(run, expected[-1]) for run in runs),
        "failed": counts["failed"],
        "skipped_overlap": counts["skipped"],
        "missed": counts["missed"],
        "takeovers": len(chaos.takeovers.seconds),
        "takeover_median_seconds": round(median(chaos.takeovers.seconds), 1),
        "takeover_max_seconds": round(max(chaos.takeovers.seconds, default=0.0), 1),
    }


def is_uncompared(run: Run, first: str) -> bool:
    """Promoted by floors alone, although there was a champion: it was not the first version."""
    if run.status is not RunStatus.SUCCEEDED or run.model_version == first:
        return False
    paths = [one["numbers"].get("path") for one in run.verdicts or () if one["gate"] == METRICS]
    return paths != ["compared"]


def is_lost(run: Run) -> bool:
    """True if the run is not over, or was given up although due within the catch-up window."""
    return run.status in OPEN or run.code == "outside_window"


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def default_takeover(folder: Path, engine: Engine, api: AcceptingApi) -> float:
    """Seconds until another scheduler has the run of one that was killed, all settings default."""
    settings = {"TRAINING": "hangs", "LEASE_SECONDS": str(DEFAULT_LEASE_SECONDS)}
    polls = {"CLAIM_POLL_SECONDS": "1", "CONFIG_POLL_SECONDS": "3"}
    first = start(folder, engine, api, "first", **settings, **polls)
    first.wait_for(lambda: any(run.status == "RUNNING" for run in list_runs(engine)))
    second = start(folder, engine, api, "second", **settings, **polls)
    try:
        second.wait_for(lambda: "scheduler_started" in second.events())
        begun = next(run for run in list_runs(engine) if run.status == "RUNNING")
        first.kill()
        killed = time.monotonic()
        second.wait_for(lambda: list_runs(engine)[0].fencing_number != begun.fencing_number)
        return round(time.monotonic() - killed, 1)
    finally:
        second.kill()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Engine]:
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'understudy.db'}"
        if kind == "postgresql":
            url = stack.enter_context(running_postgres()).new_database()
        engine = connect(url)
        stack.callback(engine.dispose)
        migrate(engine)
        yield engine


def measure(kind: str, kills: int, seed: int, *, separate_disks: bool = False) -> dict[str, float]:
    say(f"{kind}: {kills} kills{', separate disks' if separate_disks else ''}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(database(kind, folder))
        api = stack.enter_context(accepting_api())
        hosts: SeparateHosts | None = None
        if separate_disks:
            hosts = stack.enter_context(separate_hosts(folder, api, NAMES))
        chaos = Chaos(folder, engine, api, random.Random(seed), hosts)
        stack.callback(chaos.stop)
        chaos.run(kills)
        found = figures(chaos)
        if hosts is not None:
            found["partitions"] = hosts.partitions
            found["partitions_without_champion"] = hosts.without_champion
    with (
        tempfile.TemporaryDirectory() as name,
        database(kind, Path(name)) as engine,
        accepting_api() as api,
    ):
        found["default_takeover_seconds"] = default_takeover(Path(name), engine, api)
    say(f"  {found}")
    return {f"{kind}_{name}": value for name, value in found.items()}


def bars(kind: str, kills: int, *, separate_disks: bool = False) -> dict[str, Bar]:
    partitions: dict[str, Bar] = {f"{kind}_partitions": (">=", max(kills // 20, 1))}
    return {
        **(partitions if separate_disks else {}),
        f"{kind}_kills": (">=", kills),
        f"{kind}_simulated_weeks": (">=", 2.0 * kills / 200),
        f"{kind}_lost": ("==", 0),
        f"{kind}_invented": ("==", 0),
        # enough promotions for a duplicate to be possible
        f"{kind}_promotions": (">=", kills // 10),
        f"{kind}_promotions_without_comparison": ("==", 0),
        f"{kind}_duplicate_promotions": ("==", 0),
        f"{kind}_promotions_out_of_order": ("==", 0),
        f"{kind}_open": ("==", 0),
        f"{kind}_failed": ("==", 0),
        f"{kind}_takeover_max_seconds": ("<=", 30),
        f"{kind}_default_takeover_seconds": ("<=", 30),
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", choices=("sqlite", "postgresql"))
    asked.add_argument("--separate-disks", action="store_true")
    asked.add_argument("--kills", type=int, default=200)
    asked.add_argument("--seed", type=int, default=20260101)
    given = asked.parse_args()
    kinds = [given.only] if given.only else ["sqlite", "postgresql"]
    found: dict[str, float] = {"load": round(os.getloadavg()[0], 1)}
    wanted: dict[str, Bar] = {}
    for kind in kinds:
        found |= measure(kind, given.kills, given.seed, separate_disks=given.separate_disks)
        wanted |= bars(kind, given.kills, separate_disks=given.separate_disks)
    name = "scheduler_chaos_separate_disks" if given.separate_disks else "scheduler_chaos"
    finish(name, found, wanted)


if __name__ == "__main__":
    main()
