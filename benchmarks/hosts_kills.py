"""A whole host dies under load, again and again: with its volume kept, and with it destroyed."""

import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import text

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.hosts_load import RetryingClients, Sent, first_good_answer, send_again
from benchmarks.hosts_world import Balancer, Host, address, running_hosts
from benchmarks.journal_load import dead_letters, wait_until_drained
from benchmarks.report import Bar
from benchmarks.serving_world import push
from tests.postgres import running_postgres

KILLS, KILLS_SHORT = 200, 4
_SENT_AGAIN = 5
# New users after this many kills: otherwise each would get more rows than any real user.
_KILLS_OF_USERS = 10
# hosts with different histories of a user decide differently
_WEIGHTS = {"cnt_24h": 1e-4}


def run(short: bool, dice: random.Random, *, destroyed: bool) -> dict[str, float]:
    kills, sent = KILLS_SHORT if short else KILLS, Sent()
    settings = {"JOURNAL_COMMIT": "database" if destroyed else "disk"}
    with tempfile.TemporaryDirectory() as name, running_postgres() as server:
        url = server.new_database()
        with running_hosts(Path(name), url, settings) as hosts:
            for host in hosts:
                host.start_api()
                push(host.url, host.folder / "keys", bundle("1.0.0", _WEIGHTS))
            with Balancer([address(host) for host in hosts]) as balancer:
                balancer.wait_for(api_1="UP", api_2="UP")
                seconds = _live_and_die(hosts, balancer, sent, dice, kills, destroyed=destroyed)
                for host in hosts:
                    wait_until_drained(host)
                send_again(balancer.port, sent, dice, 50)
            found = _count(hosts, sent)
    name = _name(destroyed=destroyed)
    figures = found | {
        "kills": float(kills),
        "first_good_answer_seconds": max(seconds),
        "retried": float(sent.retried),
        "failed_after_one_retry": float(sent.failed),
    }
    for reason, count in sent.reasons.items():
        sys.stderr.write(f"{count} times {reason}\n")
    return {f"{name}_{key}": value for key, value in figures.items()}


def bars(short: bool, *, destroyed: bool) -> Mapping[str, Bar]:
    name = _name(destroyed=destroyed)
    found: dict[str, Bar] = {
        f"{name}_kills": (">=", KILLS_SHORT if short else KILLS),
        f"{name}_lost": ("==", 0),
        f"{name}_doubled": ("==", 0),
        f"{name}_failed_after_one_retry": ("==", 0),
        f"{name}_first_good_answer_seconds": ("<=", 2.0),
    }
    if destroyed:
        found[f"{name}_answered_otherwise"] = ("==", 0)
    return found


def _name(*, destroyed: bool) -> str:
    return "volume_destroyed" if destroyed else "volume_kept"


def _live_and_die(
    hosts: Sequence[Host],
    balancer: Balancer,
    sent: Sent,
    dice: random.Random,
    kills: int,
    *,
    destroyed: bool,
) -> list[float]:
    seconds = []
    for life in range(kills):
        number = dice.randrange(len(hosts))
        victim, name = hosts[number], f"api-{number + 1}"
        users = f"g{life // _KILLS_OF_USERS}-u"
        with RetryingClients(balancer.port, str(life), sent, users):
            _wait_for_load(sent)
            time.sleep(dice.uniform(0.1, 0.6))
            user = _user_of(name, users, sent)
            victim.kill()
            seconds.append(first_good_answer(balancer.port, user, f"first-{life}", sent))
            if destroyed:
                victim.lose_journal()
            send_again(balancer.port, sent, dice, _SENT_AGAIN)
            victim.start_api()
            balancer.wait_for(api_1="UP", api_2="UP")
        if life % 20 == 0:
            sys.stderr.write(f"{life + 1} kills, {len(sent.rows.answers)} answers\n")
    return seconds


def _user_of(host: str, users: str, sent: Sent) -> str:
    """One of these users whose rows the host answers."""
    found = (u for u, owner in list(sent.owners.items()) if owner == host and u.startswith(users))
    return next(found, f"{users}0")


def _wait_for_load(sent: Sent) -> None:
    """Rows come, and both hosts have users."""
    before, deadline = len(sent.rows.answers), time.monotonic() + 60
    while len(sent.rows.answers) < before + 50 and time.monotonic() < deadline:
        time.sleep(0.01)


def _count(hosts: Sequence[Host], sent: Sent) -> dict[str, float]:
    with hosts[0].engine.connect() as connection:
        query = "SELECT transaction_id FROM apitransactionlogs"
        stored = list(connection.scalars(text(query)))
        tiled = connection.scalar(text("SELECT sum(rows) FROM merchanttiles WHERE kind = 'row'"))
    letters = sum(map(dead_letters, hosts))
    return {
        "answered": float(len(sent.rows.answers)),
        "lost": float(len(sent.rows.answers.keys() - set(stored)) + letters),
        "doubled": float(len(stored) - len(set(stored)) + abs((tiled or 0) - len(stored))),
        "answered_otherwise": float(sent.rows.otherwise),
    }


KEPT = Case("kept", partial(run, destroyed=False), partial(bars, destroyed=False))
DESTROYED = Case("destroyed", partial(run, destroyed=True), partial(bars, destroyed=True))
