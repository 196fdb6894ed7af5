"""The work folder of a replay: its candidates, and a database of its own for its runs.

Nothing of the real registry, runs or schedule is ever touched. Whatever an interrupted process
left half done is cleared away at the next start, which tells the finished rounds to the cycle
again: their runs, their versions, and what they promoted.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from filelock import FileLock, Timeout
from sqlalchemy import Engine, delete, insert, select, update
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import CandidateStore
from scheduler.replay.plan import MAX_ROUNDS, ReplayImpossible
from scheduler.replay.record import Round
from scheduler.replay.registry import LocalRegistry
from scheduler.replay.store import RoundStore
from shared.clock import isoformat
from shared.keys.signing import key_id
from shared.logs import json_logger
from shared.tables.engine import connect, database_errors, migrate
from shared.tables.runs import RunStatus
from shared.tables.schema import features_config, model_training_runs

CANDIDATES, ROUNDS, RUNS, HELD_OUT, LOG = (
    "candidates",
    "rounds",
    "runs.db",
    "held_out",
    "replay.log",
)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Open for one process at a time."""

    folder: Path
    engine: Engine
    rounds: RoundStore
    candidates: CandidateStore
    registry: LocalRegistry
    key: Ed25519PrivateKey
    log: FilteringBoundLogger

    def restore(self, finished: Sequence[Round], switched: Sequence[Mapping[str, Any]]) -> None:
        """Be what the process was that finished these rounds.

        Args:
            finished: the rounds to go on from.
            switched: the rows of FeaturesConfig to work with.
        """
        self._clear_leftovers({record.candidate for record in finished})
        runs = [row for record in finished for row in (record.drift, record.run) if row]
        with database_errors("restore the replay's runs"), self.engine.begin() as connection:
            for table, rows in ((model_training_runs, runs), (features_config, switched)):
                connection.execute(delete(table))
                for row in rows:
                    connection.execute(insert(table).values(_filled(row)))
        for record in finished:
            if record.status is RunStatus.SUCCEEDED:
                self.registry.restore(str(record.candidate), str(record.bundle_sha256))

    def _clear_leftovers(self, kept: Collection[str | None]) -> None:
        for version in self.candidates.versions():
            if str(version) not in kept:
                shutil.rmtree(self.candidates.folder(version))

    def date_run(self, run_id: int, as_of_us: int) -> Mapping[str, Any]:
        """Give a run the dates of the simulated clock; returns its row."""
        table, moment = model_training_runs, isoformat(as_of_us)
        dates = {"rundate": moment, "startedat": moment, "finishedat": moment}
        mine = table.c.runid == run_id
        with database_errors("date a run"), self.engine.begin() as connection:
            connection.execute(update(table).where(mine).values(dates))
            return dict(connection.execute(select(table).where(mine)).mappings().one())


@contextmanager
def open_workspace(folder: Path) -> Iterator[Workspace]:
    """The work folder, held against other processes.

    Raises:
        ReplayImpossible: another process works in it, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReplayImpossible(f"--work: cannot make {folder}: {error.strerror}") from error
    try:
        with FileLock(folder / ".lock", timeout=0), _log_file(folder / LOG) as log:
            engine = connect(f"sqlite:///{folder / RUNS}")
            try:
                migrate(engine)
                yield _workspace(folder, engine, log)
            finally:
                engine.dispose()
    except Timeout as error:
        raise ReplayImpossible(f"the same replay is running already, in {folder}") from error


def _workspace(folder: Path, engine: Engine, log: FilteringBoundLogger) -> Workspace:
    key = Ed25519PrivateKey.generate()
    return Workspace(
        folder=folder,
        engine=engine,
        rounds=RoundStore(folder / ROUNDS, folder / CANDIDATES),
        candidates=CandidateStore(folder / CANDIDATES, keep=MAX_ROUNDS),
        registry=LocalRegistry({key_id(key.public_key()): key.public_key()}),
        key=key,
        log=log,
    )


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is NULL: a JSON column would take None for the JSON word null."""
    return {name: value for name, value in row.items() if value is not None}


@contextmanager
def _log_file(path: Path) -> Iterator[FilteringBoundLogger]:
    """What the cycle logs, as JSON lines: on a terminal it would drown the replay."""
    with path.open("a", encoding="utf-8") as file:
        yield json_logger(file)
