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
SLOT_BYTES = 64
_NOBODY = bytes(SLOT_BYTES)


class Slot:
    """A place in the file for one role; several threads may be inside of the same code."""

    def __init__(self, place: int) -> None:
        self._offset = place * SLOT_BYTES
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
                self._write(_NOBODY)

    def _write(self, said: bytes) -> None:
        try:
            os.pwrite(self._descriptor, said, self._offset)
        except OSError:
            # Not to know who it was, should it crash, is no reason not to score.
            return


class WatchedModel:
    """Says so while it scores, until it has been in service for long enough."""

    def __init__(self, model: Model, slot: Slot, seconds: float | None) -> None:
        self.unwatched = model
        self._slot = slot
        self._name = model.manifest.version.encode().ljust(SLOT_BYTES, b"\0")
        self._until = None if seconds is None else time.monotonic() + seconds

    @property
    def manifest(self) -> Manifest:
        return self.unwatched.manifest

    @property
    def sha256(self) -> str:
        return self.unwatched.sha256

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        if self._until is not None and time.monotonic() > self._until:
            return self.unwatched.score(matrix)
        self._slot.enter(self._name)
        try:
            return self.unwatched.score(matrix)
        finally:
            self._slot.leave()


def watched(live: LiveModel, slot: Slot, seconds: float | None) -> LiveModel:
    """The same version, watched anew; None: for as long as it is used."""
    model = unwatched(live).model
    return replace(live, model=WatchedModel(model, slot, seconds))


def unwatched(live: LiveModel) -> LiveModel:
    model = live.model
    return replace(live, model=model.unwatched) if isinstance(model, WatchedModel) else live
