"""Scoring over PostgreSQL against the same over SQLite: `python -m benchmarks.serving_databases`.

Two services of one worker with the same model and users take turns; rows a second of processor time
of the worker and its journal's drain. The server's own time is a figure beside it, and so are the
statements that it ran for each row.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import text

from benchmarks.load import SERVER_CORE, Measured, on_core, require_wrk
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving import prepared
from benchmarks.serving_race import (
    COLD_SECONDS,
    USERS_A_ROUND,
    WARM_USERS,
    Contestant,
    bodies_of_round,
    measure_contestant,
    post_batch,
    say,
)
from benchmarks.serving_world import push, write_users
from shared.clock import SystemClock
from tests.postgres import running_postgres

BARS: dict[str, Bar] = {
    "warm_vs_sqlite": (">=", 0.7),
    "cold_vs_sqlite": (">=", 0.5),
    "failed": ("==", 0),
}
_COMMITS = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


@dataclass(frozen=True, slots=True)
class Round:
    """One load of one database.

    Attributes:
        commits: transactions of the server a row, those of the drain included.
    """

    measured: Measured
    commits: float


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--seconds", type=float, default=4.0, help="of each load")
    asked.add_argument("--models", type=Path, help="folder that keeps the fitted models")
    said = asked.parse_args()
    require_wrk()
    with tempfile.TemporaryDirectory() as name, running_postgres() as server:
        folder = Path(name)
        bundle = (prepared(said.models or folder) / "bundle.zip").read_bytes()
        with (
            _serving(folder / "sqlite", bundle, said.rounds) as sqlite,
            _serving(folder / "pg", bundle, said.rounds, server.new_database()) as postgresql,
        ):
            found = _race({"sqlite": sqlite, "postgresql": postgresql}, said.rounds, said.seconds)
    finish("serving-databases", _figures(found), BARS)


@contextmanager
def _serving(
    folder: Path, bundle: bytes, rounds: int, database: str | None = None
) -> Iterator[Services]:
    folder.mkdir()
    settings = {} if database is None else {"DATABASE_URL": database}
    with Services(folder, **settings) as services:
        write_users(services.engine, SystemClock().now_us(), USERS_A_ROUND * rounds)
        with on_core(SERVER_CORE):
            services.start_api()
        push(services.url, folder / "keys", bundle)
        yield services


def _race(
    services: dict[str, Services], rounds: int, seconds: float
) -> dict[tuple[str, str], list[Round]]:
    found: dict[tuple[str, str], list[Round]] = {}
    for number in range(rounds):
        for database, one in services.items():
            warm, _, cold, before = bodies_of_round(one.folder, USERS_A_ROUND * number)
            url, pid = f"{one.url}/predict", one.pid("api")
            post_batch(one, warm, f"known-{number}", WARM_USERS)
            loads = (
                Contestant("warm", url, pid, warm, seconds, warm),
                Contestant("cold", url, pid, cold, COLD_SECONDS, before, once=True),
            )
            for load in loads:
                commits = _commits(one)
                measured = measure_contestant(one, load, number)
                a_row = (_commits(one) - commits) / max(measured.requests, 1)
                say(f"  {number} {database:<10} {load.name} {measured} {a_row:.3f} commits a row")
                found.setdefault((database, load.name), []).append(Round(measured, a_row))
    return found


def _commits(services: Services) -> int:
    if services.engine.dialect.name != "postgresql":
        return 0
    with services.engine.connect() as connection:
        return int(connection.scalar(_COMMITS) or 0)


def _figures(found: dict[tuple[str, str], list[Round]]) -> dict[str, float]:
    figures: dict[str, float] = {
        "failed": sum(each.measured.failed for rounds in found.values() for each in rounds)
    }
    for (database, load), rounds in found.items():
        name = f"{database}_{load}"
        figures[f"{name}_per_second"] = round(median(r.measured.per_second for r in rounds), 1)
        each = median(r.measured.per_cpu_second for r in rounds)
        figures[f"{name}_per_cpu_second"] = round(each, 1)
        figures[f"{name}_p99_ms"] = round(median(r.measured.p99_ms for r in rounds), 2)
    for load in ("warm", "cold"):
        pairs = zip(found["postgresql", load], found["sqlite", load], strict=True)
        ratio = median(a.measured.per_cpu_second / b.measured.per_cpu_second for a, b in pairs)
        figures[f"{load}_vs_sqlite"] = round(ratio, 3)
        commits = median(r.commits for r in found["postgresql", load])
        figures[f"{load}_commits_a_row"] = round(commits, 3)
    return figures


if __name__ == "__main__":
    main()
