"""The work folder of a replay: its candidates, and a separate database for its runs.

The real registry, runs and schedule are never touched. The next start removes the incomplete work
of an interrupted process and restores the finished rounds for the cycle: their runs, their
versions, and their promotions.
"""

import hashlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from filelock import FileLock, Timeout
from sqlalchemy import Engine, delete, insert, select, update
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import BUNDLE, CandidateStore
from scheduler.cycle.held_out import digest_path
from scheduler.replay.plan import MAX_ROUNDS, ReplayImpossible
from scheduler.replay.record import Round, from_json, to_json
from scheduler.scoring_api import BundleRefused, Probe, PushAnswer, Serving, SignedBundle
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.clock import isoformat
from shared.errors import BundleError, SignatureInvalid
from shared.keys.store import key_id, verify
from shared.logs import json_logger
from shared.system.files import write_whole_within
from shared.tables.engine import connect, database_errors, migrate
from shared.tables.runs import RunStatus
from shared.tables.schema import features_config, model_training_runs

# An in-memory registry in place of the scoring API: it accepts the promotions of a replay.
#
# It checks a push as the API does (signature, version) and serves no requests. A probe of its
# health answers 200 and is marked as a stand-in, so that no verdict claims a measurement.

STAND_IN = "stand-in of a replay, not measured"


class LocalRegistry:
    """Implements `ScoringApi` for one process and one replay."""

    def __init__(self, trusted: Mapping[str, Ed25519PublicKey]) -> None:
        self._trusted = trusted
        self._serving: Serving | None = None
        self._accepted: set[Version] = set()

    def restore(self, version: str, sha256: str) -> None:
        """Serve what an earlier process of this replay promoted."""
        self._serving = Serving(version, sha256)
        self._accepted.add(Version.parse(version))

    def current(self) -> Serving | None:
        return self._serving

    def known_versions(self) -> frozenset[Version]:
        return frozenset(self._accepted)

    def bundle(self, version: str) -> SignedBundle:
        raise BundleRefused(f"a replay keeps the bundle of {version} in its own folder only")

    def probe(self, path: str) -> Probe:
        return Probe(path, HTTPStatus.OK, 0.0, STAND_IN)

    def push(
        self,
        raw: bytes,
        signature: str,
        fencing_number: int | None = None,  # noqa: ARG002 - one process, no other to fence off
    ) -> PushAnswer:
        try:
            verify(raw, signature, self._trusted)
            bundle = unpack(raw)
        except SignatureInvalid as error:
            return _refused(HTTPStatus.FORBIDDEN, str(error))
        except BundleError as error:
            return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        version = bundle.manifest.parsed_version
        if any(version <= known for known in self._accepted):
            return _refused(HTTPStatus.CONFLICT, f"{version} is not newer than what was accepted")
        previous = self._serving.version if self._serving else None
        self.restore(str(version), bundle.sha256)
        return PushAnswer(HTTPStatus.OK, str(version), previous, None, "")


def _refused(status: HTTPStatus, why: str) -> PushAnswer:
    return PushAnswer(status, None, None, None, why)


# Finished rounds on disk: each file is written atomically, by rename.


class RoundStore:
    """`rounds/0001.json` and so on, each with its digest, beside the candidates they speak of."""

    def __init__(self, folder: Path, candidates: Path) -> None:
        self._folder = folder
        self._candidates = candidates

    def save(self, record: Round) -> None:
        path, content = self._path(record.span.number), to_json(record)
        digest = hashlib.sha256(content).hexdigest()
        write_whole_within(digest_path(path), f"{digest}  {path.name}\n".encode())
        write_whole_within(path, content)

    def finished(self, keys: Sequence[str]) -> list[Round]:
        """The first rounds of a plan, as far as they are there, whole and of these keys."""
        found: list[Round] = []
        for number, key in enumerate(keys, start=1):
            record = self._read(number)
            if record is None or record.key != key or not self._has_bundle(record):
                break
            found.append(record)
        return found

    def _read(self, number: int) -> Round | None:
        try:
            path = self._path(number)
            content, kept = path.read_bytes(), digest_path(path).read_text()
            is_whole = kept.split() == [hashlib.sha256(content).hexdigest(), path.name]
            return from_json(content) if is_whole else None
        except (OSError, ValueError):
            return None

    def _has_bundle(self, record: Round) -> bool:
        if record.bundle_sha256 is None:
            return True
        path = self._candidates / str(record.candidate) / BUNDLE
        try:
            return unpack(path.read_bytes()).sha256 == record.bundle_sha256
        except (OSError, BundleError):
            return False

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04d}.json"


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
    """The record without NULLs: a JSON column would store None as the JSON word null."""
    return {name: value for name, value in row.items() if value is not None}


@contextmanager
def _log_file(path: Path) -> Iterator[FilteringBoundLogger]:
    """Writes the cycle's logs as JSON lines to a file: a terminal shows the progress only."""
    with path.open("a", encoding="utf-8") as file:
        yield json_logger(file)
