"""The jobs this service knows by name, and what it takes to carry out a run of one."""

from typing import Protocol

from scheduler.cycle.report import RunReport
from shared.contracts.runs import REPLAY
from shared.tables.job_schedules import RETRAINING
from shared.tables.runs import Run

__all__ = ["ARCHIVE", "DRIFT", "JOBS", "REPLAY", "RETRAINING", "JobRunner"]

DRIFT = "drift"
ARCHIVE = "archive"
JOBS = (RETRAINING, DRIFT, ARCHIVE, REPLAY)
"""Jobs with series from the first scrape on, before any of them ran."""


class JobRunner(Protocol):
    """Carries out runs of one job."""

    def execute(self, run: Run) -> RunReport:
        """Do the work of a claimed run and record how it ended; never raises."""
        ...
