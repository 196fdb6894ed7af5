"""Results of finished steps, by the hash of everything that goes into them.

They are kept in plain data formats only, never as pickles or code.
"""

import hashlib
import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import polars as pl
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.steps import Note
from scheduler.step_store import ArtefactStore, key_of
from shared.clock import MICROS_PER_SECOND
from shared.tables.runs import Run
from shared.usecase.learning import Candidate
from shared.usecase.serving import FloatMatrix

# A digest of code and libraries: a change of either invalidates the cached results.

SUFFIXES = frozenset({".py", ".toml", ".yaml", ".json"})

# Hashed beside the use case's package: splits, snapshots, features and serializers.
_OURS = ("shared", "scheduler", "usecases", "learning")
REUSED = "reused"

# A run that is resumed later than this starts again with the current data.
RESUME_WITHIN_US = round(timedelta(days=1).total_seconds()) * MICROS_PER_SECOND
T = TypeVar("T")


class Serializer(Protocol[T]):
    """Writes a value into an empty folder, and reads it again."""

    def save(self, folder: Path, value: T) -> None: ...

    def load(self, folder: Path) -> T: ...


class FrameSerializer:
    """Rows as an Arrow file."""

    def save(self, folder: Path, value: pl.DataFrame) -> None:
        value.write_ipc(folder / "rows.arrow")

    def load(self, folder: Path) -> pl.DataFrame:
        return pl.read_ipc(folder / "rows.arrow")


class MatrixSerializer:
    """Features as a numpy file."""

    def save(self, folder: Path, value: FloatMatrix) -> None:
        np.save(folder / "matrix.npy", value, allow_pickle=False)

    def load(self, folder: Path) -> FloatMatrix:
        matrix: FloatMatrix = np.load(folder / "matrix.npy", allow_pickle=False)
        return matrix


class CandidateSerializer:
    """The files of a candidate, and the rest of it as JSON."""

    def save(self, folder: Path, value: Candidate) -> None:
        for name, content in value.files.items():
            path = folder / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        told = {name: told for name, told in asdict(value).items() if name != "files"}
        (folder / "candidate.json").write_text(json.dumps({**told, "files": list(value.files)}))

    def load(self, folder: Path) -> Candidate:
        content: dict[str, Any] = json.loads((folder / "candidate.json").read_text())
        files = {name: (folder / "files" / name).read_bytes() for name in content["files"]}
        return Candidate(
            **{
                **content,
                "files": files,
                "components": tuple(content["components"]),
                "feature_names": tuple(content["feature_names"]),
            }
        )


class JsonSerializer:
    """Whatever JSON can say."""

    def save(self, folder: Path, value: Any) -> None:
        (folder / "value.json").write_text(json.dumps(value))

    def load(self, folder: Path) -> Any:
        return json.loads((folder / "value.json").read_text())


class StepCache:
    """The results of steps; `code` is part of every key."""

    def __init__(self, store: ArtefactStore, code: str, log: FilteringBoundLogger) -> None:
        self._store = store
        self._code = code
        self._log = log

    def once(
        self,
        note: Note,
        step: str,
        inputs: Mapping[str, Any],
        serializer: Serializer[T],
        make: Callable[[], T],
    ) -> T:
        """The result that is kept for these inputs, or a new one, which is kept."""
        key = key_of({**inputs, "code": self._code})
        try:
            found = self._load(step, key, serializer)
        except FileNotFoundError:
            value = make()
            self._keep(step, key, serializer, value)
            return value
        note.result = REUSED
        return found

    def as_of_us(self, run: Run, now_us: int) -> int:
        """The instant at which an earlier attempt at this run began, if that was not long ago."""
        name = (run.run_id, run.job, run.scheduled_for)
        key = key_of({"run": name})
        serializer = JsonSerializer()
        try:
            began_us = int(self._load("as_of", key, serializer))
        except FileNotFoundError:
            began_us = now_us
        if 0 <= now_us - began_us <= RESUME_WITHIN_US and began_us != now_us:
            return began_us
        self._store.drop("as_of", key)
        self._keep("as_of", key, serializer, now_us)
        return now_us

    def prune(self) -> None:
        """Make room; what was used last stays."""
        try:
            deleted = self._store.prune()
        except OSError as error:
            self._log.warning("step_cache_not_pruned", reason=str(error))
            return
        if deleted:
            self._log.info("step_cache_pruned", bytes=deleted)

    def _load(self, step: str, key: str, serializer: Serializer[T]) -> T:
        """Load a stored result. A damaged one counts as missing.

        Raises:
            FileNotFoundError: there is no stored result.
        """
        try:
            folder = self._store.find(step, key)
            if folder is not None:
                return serializer.load(folder)
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            self._log.warning("step_cache_unreadable", step=step, reason=str(error))
            self._store.drop(step, key)
            raise FileNotFoundError(step) from error
        raise FileNotFoundError(step)

    def _keep(self, step: str, key: str, serializer: Serializer[T], value: T) -> None:
        """Stores a result; if the disk is full the run goes on but cannot be resumed here."""
        try:
            self._store.keep(step, key, lambda folder: serializer.save(folder, value))
        except OSError as error:
            self._log.warning("step_cache_not_written", step=step, reason=str(error))


def code_digest(use_case: object) -> str:
    """A digest of the interpreter, all distributions, our code and the use case's package.

    All distributions and not a list of those known to matter: a library that is imported by a
    library computes as well, and a list is out of date with the next import.
    """
    digest = hashlib.sha256()
    digest.update(f"{platform.python_version()} {platform.machine()}\n".encode())
    for line in installed():
        digest.update(line.encode())
    for folder in _folders(use_case):
        for path in _sources(folder):
            digest.update(f"{path.relative_to(folder)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def installed() -> list[str]:
    """Name and version of each distribution that can be imported here."""
    found = {f"{one.metadata['Name']} {one.version}\n" for one in distributions()}
    return sorted(found)


def _folders(use_case: object) -> Iterator[Path]:
    for name in (type(use_case).__module__, *_OURS):
        file: str | None = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            yield Path(file).parent


def _sources(folder: Path) -> Iterator[Path]:
    found = (path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    yield from sorted(path for path in found if path.is_file())


def frame_digest(rows: pl.DataFrame) -> str:
    """Changes with every value, every name and the order of the rows."""
    digest = hashlib.sha256(repr(rows.schema).encode())
    digest.update(rows.hash_rows(seed=0).to_numpy().tobytes())
    return digest.hexdigest()
