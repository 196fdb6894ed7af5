"""The tracker interface, and its default, which does nothing."""

from typing import Protocol

from scheduler.tracking.record import TrackedRun


class Tracker(Protocol):
    """Told of every run when it is over and recorded."""

    def track(self, run: TrackedRun) -> None:
        """Pass it on; returns soon and never raises."""
        ...


class NoTracking:
    """A tracker without a tracking server."""

    def track(self, run: TrackedRun) -> None:
        """Records nothing."""
