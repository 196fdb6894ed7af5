"""The jobs this service knows by name, and what it takes to carry out a run of one."""

from typing import Protocol

from scheduler.cycle.report import RunReport
from shared.tables.runs import Run

RETRAINING = "retraining"
DRIFT = "drift"
ARCHIVE = "archive"


class JobRunner(Protocol):
    """Carries out runs of one job."""

    def execute(self, run: Run) -> RunReport:
        """Do the work of a claimed run and record how it ended; never raises."""
        ...
