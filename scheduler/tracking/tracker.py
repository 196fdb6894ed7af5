"""The tracker interface, and its default, which does nothing."""

from typing import Protocol

from scheduler.tracking.record import TrackedRun


class Tracker(Protocol):
    """Told of every run when it is over and recorded."""

    def track(self, run: TrackedRun) -> None:
        """Pass it on; returns soon and never raises."""
        ...


class NoTracking:
    """Nobody wants to know."""

    def track(self, run: TrackedRun) -> None:
        """Do nothing."""
