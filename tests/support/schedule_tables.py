"""A table of schedules in memory."""

from dataclasses import dataclass

from scheduler.schedule.table import ScheduleRow
from shared.errors import DataUnavailable


@dataclass
class PocketTable:
    """RetrainingConfig in memory, which may be away."""

    row: ScheduleRow
    away: bool = False
    shown_us: int | None = None

    def read(self) -> ScheduleRow:
        if self.away:
            raise DataUnavailable("no database")
        return self.row

    def show(self, next_due_us: int | None) -> None:
        self.shown_us = next_due_us
