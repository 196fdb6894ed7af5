"""The database file is taken away, removed, replaced or emptied under load, again and again.

A file that was only taken away (`mv`) is put together with its write-ahead log again: of all that
was answered, nothing may be missing. What a removed file held is gone; of what was answered after
the service told that it is, nothing may be missing.
"""

import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.journal_load import (
    CLIENTS,
    AnsweredRows,
    figures_of,
    send,
    stored_ids,
    wait_until_drained,
)
from benchmarks.report import Bar
from benchmarks.services import Services
from benchmarks.serving_world import push
from shared.tables.engine import connect, migrate

FAULTS, FAULTS_SHORT = 40, 8
ROWS_OF_A_CLIENT = 500
FIGURE = "understudy_database_file_changes"


def run(short: bool, dice: random.Random) -> dict[str, float]:
    faults = FAULTS_SHORT if short else FAULTS
    answered, told = AnsweredRows(), list[float]()
    ways = (taken_away, removed, removed_with_all_beside_it, replaced, emptied)
    lost = rows = 0
    with tempfile.TemporaryDirectory() as name, Services(Path(name)) as services:
        services.start_api()
        push(services.url, services.folder / "keys", bundle("1.0.0"))
        for number in range(faults):
            way = ways[number % len(ways)]
            clients = start(services, str(number), answered)
            time.sleep(dice.uniform(0.1, 0.6))
            told.append(wait_until_told(services, number, way))
            after_told = set(answered.answers)
            for client in clients:
                client.join()
            wait_until_drained(services)
            stored, promised = set(stored_ids(services)), set(answered.answers) - after_told
            if way is taken_away:
                # no row of this round may be missing
                stored |= ids_of_what_was_taken(services.folder)
                promised = set(answered.answers)
            lost += len(promised - stored)
            rows += len(answered.answers)
            answered.answers.clear()
            said = f"{number + 1} {way.__name__}: told in {told[-1]:.2f} s, {lost} lost\n"
            sys.stderr.write(said)
        services.stop("api")
    return {
        "database_faults": float(faults),
        "database_rows": float(rows),
        "database_lost": float(lost),
        "database_told_seconds": max(told),
    }


def bars(short: bool) -> Mapping[str, Bar]:
    return {
        "database_faults": (">=", FAULTS_SHORT if short else FAULTS),
        "database_lost": ("==", 0),
        "database_told_seconds": ("<=", 1.0),
    }


def start(services: Services, run_name: str, answered: AnsweredRows) -> list[threading.Thread]:
    """Clients that send some rows each."""
    clients = [
        threading.Thread(
            target=send, args=(services.port, f"d{run_name}-{each}", answered, ROWS_OF_A_CLIENT)
        )
        for each in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    return clients


def wait_until_told(services: Services, number: int, way: Callable[[Path], None]) -> float:
    """Cause the fault; returns the seconds until the service reported it."""
    way(path_of(services.folder))
    began = time.monotonic()
    while figures_of(services, FIGURE)[FIGURE] <= number:
        if time.monotonic() - began > 30:
            raise TimeoutError("the service did not notice that its database is another one")
        time.sleep(0.02)
    return time.monotonic() - began


def path_of(folder: Path) -> Path:
    (path,) = folder.rglob("understudy.db")
    return path


def taken_away(path: Path) -> None:
    path.rename(path.with_name("taken.db"))


def removed(path: Path) -> None:
    path.unlink()


def removed_with_all_beside_it(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        if "of-removed" not in each.name:
            each.unlink(missing_ok=True)


def replaced(path: Path) -> None:
    other = path.with_name("other.db")
    engine = connect(f"sqlite:///{other}")
    migrate(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    other.replace(path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def ids_of_what_was_taken(folder: Path) -> set[str]:
    """Rows of the file that was taken away, its log put back."""
    (taken,) = folder.rglob("taken.db")
    logs = sorted(taken.parent.glob("understudy.db-wal.of-removed-*"), key=os.path.getmtime)
    if logs:
        logs[-1].rename(f"{taken}-wal")
    with sqlite3.connect(taken) as connection:
        rows = connection.execute("SELECT transaction_id FROM apitransactionlogs").fetchall()
    connection.close()
    for each in taken.parent.glob("taken.db*"):
        each.unlink()
    return {row[0] for row in rows}


CASE = Case("database", run, bars)
