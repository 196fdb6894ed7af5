"""What every rule of a schedule answers."""

from typing import Protocol


class ScheduleRule(Protocol):
    """Due instants in microseconds; `anchor_us` is where a rule without one of its own begins."""

    def next_due(self, anchor_us: int, after_us: int) -> int:
        """The first due instant strictly later than `after_us`."""
        ...
