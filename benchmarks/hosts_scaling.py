"""Two hosts against one, by requests for each second of processor time of all hosts.

Both stand behind HAProxy over the same PostgreSQL and take turns; each host gets as many
connections as the single one. On a machine of two cores rows a second would measure the cores.
"""

import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.hosts_world import Balancer, Host, address, running_hosts
from benchmarks.load import (
    CONNECTIONS,
    SERVER_CORE,
    family_cpu_seconds,
    on_core,
    press,
    require_wrk,
)
from benchmarks.report import Bar
from benchmarks.services import free_port
from benchmarks.serving_race import WARM_USERS, settle
from benchmarks.serving_world import push, write_bodies, write_users
from shared.clock import SystemClock
from tests.postgres import running_postgres

ROUNDS, ROUNDS_SHORT = 7, 1
SECONDS, SECONDS_SHORT = 10.0, 2.0
RUN_IN_SECONDS = 4.0
_COMMITS = ("disk", "database")


@dataclass(frozen=True, slots=True)
class Team:
    """Hosts behind a HAProxy of their own."""

    name: str
    hosts: Sequence[Host]
    balancer: Balancer


@dataclass(frozen=True, slots=True)
class Round:
    """One load of one team; processor time of its hosts, until their last row is stored."""

    per_second: float
    per_cpu_second: float
    failed: int


def run(short: bool, dice: random.Random) -> dict[str, float]:
    del dice
    require_wrk()
    figures: dict[str, float] = {}
    for commit in _COMMITS:
        rounds = _race(commit, short=short)
        for name, found in rounds.items():
            figures[f"{commit}_{name}_per_second"] = round(median(r.per_second for r in found), 1)
            spent = median(r.per_cpu_second for r in found)
            figures[f"{commit}_{name}_per_cpu_second"] = round(spent, 1)
        pairs = zip(rounds["two"], rounds["one"], strict=True)
        ratio = median(two.per_cpu_second / one.per_cpu_second for two, one in pairs)
        figures[f"{commit}_two_of_one_by_cpu"] = round(ratio, 3)
        failed = sum(each.failed for found in rounds.values() for each in found)
        figures[f"{commit}_scaling_failed"] = float(failed)
    return figures


def bars(short: bool) -> Mapping[str, Bar]:
    del short
    found: dict[str, Bar] = {}
    for commit in _COMMITS:
        found[f"{commit}_two_of_one_by_cpu"] = (">=", 0.8)
        found[f"{commit}_scaling_failed"] = ("==", 0)
    return found


def _race(commit: str, *, short: bool) -> dict[str, list[Round]]:
    """Rounds of each team: they take turns, and begin in turns."""
    found: dict[str, list[Round]] = {"one": [], "two": []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(running_postgres()).new_database()
        settings = {"JOURNAL_COMMIT": commit}
        hosts = stack.enter_context(running_hosts(folder, url, settings, count=3))
        rounds = ROUNDS_SHORT if short else ROUNDS
        # each load has users of its own: those of several would be busier than any real ones
        write_users(hosts[0].engine, SystemClock().now_us(), 2 * rounds * WARM_USERS)
        for host in hosts:
            with on_core(SERVER_CORE):
                host.start_api()
            push(host.url, host.folder / "keys", bundle("1.0.0"))
        teams = [
            stack.enter_context(_team("one", hosts[:1])),
            stack.enter_context(_team("two", hosts[1:])),
        ]
        for number in range(rounds):
            for at, team in enumerate(teams[:: 1 if number % 2 else -1]):
                first = (2 * number + at) * WARM_USERS
                users = range(first, first + WARM_USERS)
                one = _measured(team, users, SECONDS_SHORT if short else SECONDS)
                sys.stderr.write(f"{commit} {number} {team.name} {one}\n")
                found[team.name].append(one)
    return found


@contextmanager
def _team(name: str, hosts: Sequence[Host]) -> Iterator[Team]:
    """The second place of the configuration stays empty where there is one host."""
    places = [address(host) for host in hosts]
    wanted = {"api_1": "UP", "api_2": "UP" if len(hosts) > 1 else "DOWN"}
    with Balancer([*places, f"127.0.0.1:{free_port()}"][:2]) as balancer:
        balancer.wait_for(**wanted)
        yield Team(name, hosts, balancer)


def _measured(team: Team, users: range, seconds: float) -> Round:
    """One load, after one that fills the windows; both count for the processor time."""
    bodies = write_bodies(team.hosts[0].folder / "bodies.jsonl", users)
    pids = [host.pid("api") for host in team.hosts]
    load = partial(
        press,
        f"{team.balancer.url}/predict",
        pids[0],
        bodies,
        connections=CONNECTIONS * len(team.hosts),
    )
    for host in team.hosts:
        settle(host)
    began = sum(map(family_cpu_seconds, pids))
    before = load(run=f"in-{users.start}-", seconds=RUN_IN_SECONDS)
    measured = load(run=f"of-{users.start}-", seconds=seconds)
    for host in team.hosts:
        settle(host)
    spent = sum(map(family_cpu_seconds, pids)) - began
    return Round(
        round(measured.per_second, 1),
        round((before.requests + measured.requests) / spent, 1),
        before.failed + measured.failed,
    )


CASE = Case("scaling", run, bars)
