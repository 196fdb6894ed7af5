"""Crash markers: a crash in a version's code is marked in a file, and counted by the next process.

A crash in native code cannot be caught. While a model runs, a file names its version; the process
that replaces the dead one reads it. The file need not be synced for that: written data survives the
process, though not a power cut.

`crashes/worker-N` in the registry is the file of a worker, `crashes/deaths.jsonl` the list of
crashes. They are in the registry because RUN_DIR may be gone after a restart.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from api.models.comparison import FRESH_SECONDS
from api.models.model_slot import LiveModel
from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.clock import MICROS_PER_SECOND, Clock
from shared.scoring.model import Model
from shared.usecase.serving import FloatMatrix

# Longer than any version's name.
MARKER_BYTES = 64
_EMPTY = bytes(MARKER_BYTES)

_log = structlog.get_logger()
_PREFIX = "worker-"


class CrashMarker:
    """The marker of one role in the file; several threads may run the same model."""

    def __init__(self, place: int) -> None:
        self._offset = place * MARKER_BYTES
        self._lock = threading.Lock()
        self._inside = 0
        self._descriptor = -1

    def use(self, descriptor: int) -> None:
        """Write there from now on; -1: nowhere."""
        with self._lock:
            self._descriptor = descriptor

    def enter(self, name: bytes) -> None:
        with self._lock:
            self._inside += 1
            self._write(name)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._write(_EMPTY)

    def _write(self, said: bytes) -> None:
        try:
            os.pwrite(self._descriptor, said, self._offset)
        except OSError:
            # Scoring continues without a marker: a crash would then have no known cause.
            return


class MarkedModel:
    """A model that is marked while it scores, until it has served for long enough."""

    def __init__(self, model: Model, marker: CrashMarker, seconds: float | None) -> None:
        self.unmarked = model
        self._marker = marker
        self._name = model.manifest.version.encode().ljust(MARKER_BYTES, b"\0")
        self._until = None if seconds is None else time.monotonic() + seconds

    @property
    def manifest(self) -> Manifest:
        return self.unmarked.manifest

    @property
    def sha256(self) -> str:
        return self.unmarked.sha256

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        if self._until is not None and time.monotonic() > self._until:
            return self.unmarked.score(matrix)
        self._marker.enter(self._name)
        try:
            return self.unmarked.score(matrix)
        finally:
            self._marker.leave()


def marked(live: LiveModel, marker: CrashMarker, seconds: float | None) -> LiveModel:
    """The same version, watched again; None: for as long as it is used."""
    model = unmarked(live).model
    return replace(live, model=MarkedModel(model, marker, seconds))


def unmarked(live: LiveModel) -> LiveModel:
    model = live.model
    return replace(live, model=model.unmarked) if isinstance(model, MarkedModel) else live


@dataclass(frozen=True, slots=True)
class CrashLimits:
    """Roll back after this many crashes inside one version within this time. 0 disables it."""

    crashes: int
    window_seconds: float


class Crashes:
    """The markers of one worker, and the list of all crashes."""

    def __init__(
        self, registry_root: Path, number: int, total: int, limits: CrashLimits, clock: Clock
    ) -> None:
        self._folder = registry_root / "crashes"
        self._deaths = self._folder / "deaths.jsonl"
        self._number = number
        self._total = total
        self._limits = limits
        self._clock = clock
        self._champion, self._candidate = self._markers = CrashMarker(0), CrashMarker(1)
        self._descriptor = -1

    def serving(self, live: LiveModel, activated_at_us: int) -> LiveModel:
        """The version to serve, watched while it is fresh."""
        fresh_seconds = self.fresh_seconds(activated_at_us)
        return marked(live, self._champion, fresh_seconds) if fresh_seconds else unmarked(live)

    def fresh_seconds(self, activated_at_us: int) -> float:
        """Seconds for which the version is still considered a possible cause of failures."""
        age_seconds = (self._clock.now_us() - activated_at_us) / MICROS_PER_SECOND
        return max(0.0, FRESH_SECONDS - max(0.0, age_seconds))

    def on_trial(self, live: LiveModel) -> LiveModel:
        """The version to try out, watched all the while."""
        return marked(live, self._candidate, None)

    def open(self) -> set[str]:
        """Versions that died with the processes before this one; from now on, watch."""
        try:
            # The first process comes here before the registry's folder exists.
            self._folder.mkdir(parents=True, exist_ok=True)
            died = set(filter(None, map(self._died_in, self._left_behind())))
            path = self._folder / f"{_PREFIX}{self._number}"
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Space is allocated now, so that a later mark cannot fail on a full disk.
            os.pwrite(self._descriptor, bytes(len(self._markers) * MARKER_BYTES), 0)
        except OSError as error:
            _log.warning("crashes_not_remembered", reason=str(error))
            return set()
        for marker in self._markers:
            marker.use(self._descriptor)
        return died

    def close(self) -> None:
        for marker in self._markers:
            marker.use(-1)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def is_too_many(self, version: str) -> bool:
        """True if the version has to be rolled back."""
        return 0 < self._limits.crashes <= self.recent(version)

    def recent(self, version: str | None = None) -> int:
        """Deaths within the window, inside of this version or of any."""
        since_us = self._clock.now_us() - self._limits.window_seconds * MICROS_PER_SECOND
        found = (name for name, at_us in self._listed() if at_us >= since_us)
        return sum(version in (None, name) for name in found)

    def _left_behind(self) -> list[Path]:
        """The predecessor's file; worker 0 also reads those of workers that no longer exist."""
        found = []
        for path in self._folder.glob(f"{_PREFIX}[0-9]*"):
            text = path.name.removeprefix(_PREFIX)
            # Copies and folders that were put there by hand are not read.
            if not (text.isdecimal() and path.is_file()):
                continue
            number = int(text)
            if number == self._number or (self._number == 0 and number >= self._total):
                found.append(path)
        return found

    def _died_in(self, path: Path) -> str | None:
        """The version that the owner of this file died in, now on the list."""
        raw = path.read_bytes()
        path.unlink()
        champion, candidate = (_version(raw[at : at + MARKER_BYTES]) for at in (0, MARKER_BYTES))
        # If both were scoring, the candidate is blamed: the champion has served before.
        version = candidate or champion
        if version is None:
            return None
        _log.error("crashed_inside_version", version=version)
        if not self.recent():
            self._deaths.unlink(missing_ok=True)
        line = {"version": version, "at_us": self._clock.now_us(), "file": path.name}
        with self._deaths.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        return version

    def _listed(self) -> Iterator[tuple[str, int]]:
        try:
            lines = self._deaths.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                yield str(entry["version"]), int(entry["at_us"])


def _version(raw: bytes) -> str | None:
    """None: no model was running, or the machine crashed and left something else."""
    try:
        return str(Version.parse(raw.rstrip(b"\0").decode()))
    except ValueError:
        return None
