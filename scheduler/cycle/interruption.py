"""The request to stop a running cycle, checked between steps and during training."""

import threading

from shared.errors import UnderstudyError


class Interrupted(UnderstudyError):
    """Raised inside a cycle after a stop was requested."""


class Interruption:
    """A stop request; it cannot be withdrawn."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        return self._event.wait(timeout_seconds)

    def raise_if_requested(self) -> None:
        """Leave the cycle here when a stop was asked for."""
        if self.requested:
            raise Interrupted("the scheduler was asked to stop")
