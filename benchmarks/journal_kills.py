"""SIGKILL at random instants under load; now and then the drain is killed first."""

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.journal_load import (
    AnsweredRows,
    dead_letters,
    doubled,
    retry,
    start_clients,
    stored_ids,
)
from benchmarks.report import Bar
from benchmarks.services import Services, children_of
from benchmarks.serving_world import push

KILLS, KILLS_SHORT = 200, 8


def run(short: bool, dice: random.Random) -> dict[str, float]:
    kills, answered = KILLS_SHORT if short else KILLS, AnsweredRows()
    with tempfile.TemporaryDirectory() as name, Services(Path(name)) as services:
        services.start_api()
        push(services.url, services.folder / "keys", bundle("1.0.0"))
        drains = sum(live_and_die(services, answered, dice, life) for life in range(kills))
        retry(services, answered, dice)
        services.stop("api")
        figures = count(services, answered)
    return figures | {"kills": float(kills), "drains_killed_first": float(drains)}


def bars(short: bool) -> Mapping[str, Bar]:
    return {
        "kills": (">=", KILLS_SHORT if short else KILLS),
        "lost": ("==", 0),
        "doubled": ("==", 0),
        "answered_otherwise": ("==", 0),
    }


def live_and_die(
    services: Services, answered: AnsweredRows, dice: random.Random, life: int
) -> bool:
    """Load, a kill in the middle of it, and a new start; whether the drain was killed first."""
    pid = services.pid("api")
    clients = start_clients(services.port, str(life), answered)
    time.sleep(dice.uniform(0.0, 0.6))
    drain_first = dice.random() < 0.25 and kill_drain(pid)
    if drain_first:
        time.sleep(dice.uniform(0.0, 0.4))
    os.kill(pid, signal.SIGKILL)
    for client in clients:
        client.join()
    services.wait_for_end("api")
    services.start_api()
    retry(services, answered, dice)
    if life % 20 == 0:
        sys.stderr.write(f"{life + 1} kills, {len(answered.answers)} answers\n")
    return drain_first


def kill_drain(parent: int) -> bool:
    """Kill the process that drains, if it has been started."""
    for child in children_of(parent):
        os.kill(child, signal.SIGKILL)
        return True
    return False


def count(services: Services, answered: AnsweredRows) -> dict[str, float]:
    stored = stored_ids(services)
    return {
        "answered": float(len(answered.answers)),
        "stored": float(len(stored)),
        "lost": float(len(answered.answers.keys() - set(stored)) + dead_letters(services)),
        "doubled": doubled(services, stored),
        "answered_otherwise": float(answered.otherwise),
    }


CASE = Case("kills", run, bars)
