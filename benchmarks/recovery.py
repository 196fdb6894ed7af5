"""Everything is lost and restored: recovery time and point. `make bench-recovery`

Real services train a model, promote it and decide under load. A backup is made meanwhile; then
both are killed, their folder is deleted, and an archive and the keys are all that is left.
Measured: seconds from the beginning of the restore to the first answer of the same version, and
which acknowledged decisions are there and answer as before. `--rows` is the history, and
`--decisions` are stored before the load; `--postgresql` takes a server instead of SQLite.
"""

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import journal_load
from benchmarks.console import add_decisions
from benchmarks.journal_load import AnsweredRows
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.small_world import write_small_world
from shared.clock import SystemClock, isoformat, to_micros
from shared.tables.runs import RunStatus
from understudy.backup.restore import check_archive

TRAINED_ROWS = 4_000
_PROBE = {"amount": 431.0, "country": "FR", "transaction_type": "purchase"}
_PROBED_AT = isoformat(SystemClock.now_us())
_LOAD_SECONDS = 4.0
_START_SECONDS = 300.0

BARS: dict[str, Bar] = {
    "recovery_seconds": ("<=", 60.0),
    "lost_before_the_backup": ("==", 0),
    "answered_otherwise": ("==", 0),
    "same_version": ("==", 1),
    "same_scores": ("==", 1),
    "same_runs": ("==", 1),
}


@dataclass
class Rehearsal:
    """One instance that is lost and restored below a folder.

    Attributes:
        archives: the folder of the archive and the keys; the only one that survives.
    """

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def archives(self) -> Path:
        return self.folder / "archives"

    def services(self) -> Services:
        instance = self.folder / "instance"
        instance.mkdir(exist_ok=True)
        return Services(instance, **{"DRIFT_REPORTS_DIR": str(instance / "drift"), **self.settings})

    def run(self, rows: int, more_rows: int = 0, decisions: int = 0) -> dict[str, float]:
        """Learn, decide, back up, lose, restore, compare."""
        answered = AnsweredRows()
        with self.services() as services:
            before = self._lose(services, answered, rows, (more_rows, decisions))
        self.forget()
        started = time.monotonic()
        restore = command(self._environment(), "restore", self._archive, "--keys", self._keys)
        restored = time.monotonic()
        with self.services() as services:
            services.start_api()
            after = what_is_served(services)
            answers = time.monotonic()
            figures = {
                "recovery_seconds": round(answers - started, 2),
                "restore_seconds": round(restored - started, 2),
                "same_version": float(before.version == after.version),
                "same_scores": float(before.probe == after.probe),
                "same_runs": float(before.runs == after.runs),
            }
            print(restore, file=sys.stderr)
            return {**before.figures, **figures, **_compared(services, answered, before.safe)}

    def _lose(
        self, services: Services, answered: AnsweredRows, rows: int, more: tuple[int, int]
    ) -> "Before":
        write_small_world(services.engine, SystemClock.now_us(), rows)
        services.start_api()
        services.start("scheduler")
        run = services.wait_for_run(timeout_seconds=_START_SECONDS)
        if run.status is not RunStatus.SUCCEEDED:
            raise RuntimeError(f"{run.message}\n{services.log_ends()}")
        add_rows(services, *more)
        clients = journal_load.start_clients(services.port, "load", answered)
        time.sleep(_LOAD_SECONDS)
        before = what_is_served(services)
        began = time.monotonic()
        told = command(services.environment, "backup", self._archive, "--keys", self._keys)
        print(told, file=sys.stderr)
        before.figures["backup_seconds"] = round(time.monotonic() - began, 2)
        before.figures["archive_mib"] = round(self._archive.stat().st_size / 2**20, 1)
        time.sleep(0.3)
        for service in ("scheduler", "api"):
            os.kill(services.pid(service), 9)
            services.wait_for_end(service)
        for client in clients:
            client.join()
        point_us = to_micros(datetime.fromisoformat(check_archive(self._archive).recovery_point))
        before.safe = {name for name, at_us in answered.at_us.items() if at_us < point_us}
        before.figures["answered_before_the_backup"] = len(before.safe)
        before.figures["answered_in_all"] = len(answered.answers)
        return before

    def forget(self) -> None:
        """Lose everything but the archives."""
        shutil.rmtree(self.folder / "instance")

    def _environment(self) -> dict[str, str]:
        services = self.services()
        services.engine.dispose()
        return services.environment

    @property
    def _archive(self) -> Path:
        return self.archives / "instance.backup"

    @property
    def _keys(self) -> Path:
        return self.archives / "instance.keys"


@dataclass
class OnPostgresql(Rehearsal):
    """The same with a database of a server, which is lost with the rest."""

    server: Any = None

    def forget(self) -> None:
        super().forget()
        self.settings["DATABASE_URL"] = self.server.new_database()


@dataclass
class Before:
    """The state that an instance served at one moment."""

    version: str
    probe: Any
    runs: list[Any]
    safe: set[str] = field(default_factory=set)
    figures: dict[str, float] = field(default_factory=dict)


def what_is_served(services: Services) -> Before:
    """The live version, its scores for a row without history, and the finished runs."""
    connection = http.client.HTTPConnection("127.0.0.1", services.port, timeout=30)
    # without user and merchant, so that no history is used
    probe = json.loads(journal_load.post(connection, {**_PROBE, "event_time": _PROBED_AT}))
    connection.request("GET", "/current_model")
    version = json.loads(connection.getresponse().read())["version"]
    connection.request("GET", "/api/mlops/runs")
    runs = json.loads(connection.getresponse().read())
    connection.close()
    return Before(version, {name: probe[name] for name in ("probability", "anomaly_score")}, runs)


def command(environment: dict[str, str], *arguments: object) -> str:
    """The output of an `understudy` command.

    Raises:
        RuntimeError: it was refused; says why.
    """
    done = subprocess.run(
        [sys.executable, "-m", "understudy", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def add_rows(services: Services, rows: int, decisions: int) -> None:
    """More history and decisions than the model was trained on, so that there is much to copy."""
    from benchmarks.serving_world import ROWS_PER_USER, write_users  # noqa: PLC0415 - trains

    write_users(services.engine, SystemClock.now_us(), rows // ROWS_PER_USER)
    if decisions:
        with services.engine.begin() as connection:
            add_decisions(connection, decisions)


def _compared(services: Services, answered: AnsweredRows, safe: set[str]) -> dict[str, float]:
    journal_load.wait_until_drained(services)
    stored = set(journal_load.stored_ids(services))
    connection = http.client.HTTPConnection("127.0.0.1", services.port, timeout=30)
    some = sorted(safe)[:: max(1, len(safe) // 500)]
    otherwise = sum(
        journal_load.post(connection, answered.bodies[name]) != answered.answers[name]
        for name in some
    )
    connection.close()
    return {
        "lost_before_the_backup": len(safe - stored),
        "lost_since_the_backup": len(set(answered.answers) - safe - stored),
        "asked_again": len(some),
        "answered_otherwise": otherwise,
    }


@contextmanager
def rehearsal(folder: Path, *, postgresql: bool) -> Iterator[Rehearsal]:
    """An instance below a folder, on SQLite or on a PostgreSQL server that is lost as well."""
    if not postgresql:
        yield Rehearsal(folder)
        return
    from tests.postgres import running_postgres  # noqa: PLC0415 - needs a server's programs

    with running_postgres() as server:
        yield OnPostgresql(folder, {"DATABASE_URL": server.new_database()}, server)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--decisions", type=int, default=1_000_000)
    asked.add_argument("--postgresql", action="store_true")
    options = asked.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        rehearsal(Path(folder), postgresql=options.postgresql) as rehearsed,
    ):
        more_rows = max(0, options.rows - TRAINED_ROWS)
        figures = rehearsed.run(TRAINED_ROWS, more_rows, options.decisions)
    finish("recovery", figures, BARS)


if __name__ == "__main__":
    main()
