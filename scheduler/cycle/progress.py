"""Progress of a long step: a bar on a terminal, else a line at each quarter and every 15 s."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from shared.usecase.learning import Progress as Report

ShowProgress = Callable[[str, FilteringBoundLogger, Interruption], AbstractContextManager[Report]]
"""Makes the progress reporter of a long step from the step's name, a log and the stop request."""

QUARTERS = (0.25, 0.5, 0.75)
QUIET_SECONDS = 15.0


@contextmanager
def shown_progress(
    step: str, log: FilteringBoundLogger, interruption: Interruption
) -> Iterator[Report]:
    """A callback for a long step; calling it also lets a stop request through."""
    if sys.stderr.isatty():
        with _bar(step) as report:
            yield stoppable(report, interruption)
    else:
        yield stoppable(_lines(step, log), interruption)


def stoppable(report: Report, interruption: Interruption) -> Report:
    """The same callback, through which a request to stop comes."""

    def call(what: str, share: float) -> None:
        interruption.raise_if_requested()
        report(what, share)

    return call


def _lines(
    step: str, log: FilteringBoundLogger, clock: Callable[[], float] = time.monotonic
) -> Report:
    due, began = list(QUARTERS), clock()
    told = began

    def call(what: str, share: float) -> None:
        nonlocal told
        reached = [quarter for quarter in due if share >= quarter]
        if not reached and clock() - told < QUIET_SECONDS:
            return
        del due[: len(reached)]
        told = clock()
        seconds = round(told - began)
        log.info("progress", step=step, doing=what, percent=round(share * 100), seconds=seconds)

    return call


@contextmanager
def _bar(step: str) -> Iterator[Report]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    # logs go to standard output; the bar disappears when the step is done
    with Progress(*columns, console=Console(stderr=True, markup=False), transient=True) as bar:
        task: TaskID = bar.add_task(step, total=1.0)

        def call(what: str, share: float) -> None:
            bar.update(task, completed=share, description=f"{step}: {what}")

        yield call
