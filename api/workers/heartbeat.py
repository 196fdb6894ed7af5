"""A worker's heartbeat: a byte from its event loop into a pipe that the supervisor reads.

It comes from the event loop only: a thread would go on beating for a loop that
is stuck. While rows are scored on a thread, one that is stuck there stops it, too. A pipe,
because a full or broken disk must not look like a worker that hangs.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from math import inf

BEAT_SECONDS = 0.5
# With less, a garbage collection would count as a hang.
_LEAST_HANG_SECONDS = 2.0


class Heartbeat:
    """The worker's end of the pipe; None: there is no supervisor."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def begin(self, loop: asyncio.AbstractEventLoop, scores: Callable[[], bool]) -> None:
        """Beat for as long as this loop turns and scoring does not hang elsewhere."""
        if self._descriptor is None:
            return
        if scores():
            # The supervisor is ending and no longer reads: the pipe is full or closed.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._descriptor, b".")
        loop.call_later(BEAT_SECONDS, self.begin, loop, scores)


class HeartbeatMonitor:
    """The supervisor's end, for one process after the other.

    Silence is counted in looks, not in clock time: when the machine was suspended, there
    were neither beats nor looks.
    """

    def __init__(self, hang_seconds: float) -> None:
        self._hang_seconds = max(hang_seconds, _LEAST_HANG_SECONDS) if hang_seconds else inf
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)
        self._is_beating = False
        self._silent_seconds = 0.0

    def begin(self) -> None:
        """Another process has the other end; until its first beat it is starting."""
        self._has_beaten()
        self._is_beating = False
        self._silent_seconds = 0.0

    def hangs(self, look_seconds: float) -> bool:
        """True if it beat once and has been silent for too long; called at every look."""
        if self._has_beaten():
            self._is_beating = True
            self._silent_seconds = 0.0
        elif self._is_beating:
            self._silent_seconds += look_seconds
        return self._silent_seconds > self._hang_seconds

    def close(self) -> None:
        os.close(self._read)
        os.close(self.descriptor)

    def _has_beaten(self) -> bool:
        try:
            return bool(os.read(self._read, 4_096))
        except BlockingIOError:
            return False
