"""A model whose code may kill the process: while it runs, a file says which version it is.

A crash in native code cannot be caught. What is written before it can be read after it, by
the process that takes the dead one's place. The file need not reach the disk for that: what
was written outlives the process, though not the machine.
"""

import os
import threading
import time
from dataclasses import replace

from api.models.loaded import LiveModel
from shared.bundle.manifest import Manifest
from shared.scoring.model import Model
from shared.usecase.serving import FloatMatrix

# Longer than any version's name.
MARKER_BYTES = 64
_EMPTY = bytes(MARKER_BYTES)


class CrashMarker:
    """A place in the file for one role; several threads may be inside of the same code."""

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
            # Not to know who it was, should it crash, is no reason not to score.
            return


class MarkedModel:
    """Says so while it scores, until it has been in service for long enough."""

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
    """The same version, watched anew; None: for as long as it is used."""
    model = unmarked(live).model
    return replace(live, model=MarkedModel(model, marker, seconds))


def unmarked(live: LiveModel) -> LiveModel:
    model = live.model
    return replace(live, model=model.unmarked) if isinstance(model, MarkedModel) else live
