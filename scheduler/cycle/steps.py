"""Steps: each is timed, logged as one line, and written to its run as it begins and ends.

The progress of a long step is a bar on a terminal, else a line at each quarter and every 15 s.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from shared.clock import Clock, SystemClock, isoformat
from shared.errors import DataUnavailable
from shared.run_progress import UsualSeconds, progress_of
from shared.tables.leases import record_steps
from shared.tables.runs import Run
from shared.tracing.recording import span
from shared.usecase.learning import Progress as Report

LONG_SECONDS = 3.0
QUARTERS = (0.25, 0.5, 0.75)
QUIET_SECONDS = 15.0
UNKNOWN = UsualSeconds({}, is_measured=False)
RUNNING = "running"
"""The result of a step in progress."""

ShowSteps = Callable[[list[dict[str, Any]]], object]

ShowProgress = Callable[[str, FilteringBoundLogger, Interruption], AbstractContextManager[Report]]
"""Makes the progress reporter of a long step from the step's name, a log and the stop request."""


def shown_steps(engine: Engine, run: Run) -> ShowSteps:
    """Writes the steps of a claimed run to its row, where people see them while it goes on."""
    number = run.fencing_number
    return len if number is None else partial(record_steps, engine, run.run_id, number)


@dataclass(slots=True)
class Note:
    """Receives the progress of a step while it runs; `details` are extra figures."""

    rows: int | None = None
    result: str = "ok"
    details: dict[str, Any] = field(default_factory=dict)


class StepLog:
    """The steps of one run, in order; `show` gets all of them when one begins or ends.

    Start times are the machine's, also where the cycle replays another time.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        interruption: Interruption,
        show: ShowSteps = len,
        clock: Clock | None = None,
        usual: UsualSeconds = UNKNOWN,
    ) -> None:
        self._log = log
        self._interruption = interruption
        self._show = show
        self._clock = clock or SystemClock()
        self._usual = usual
        self.records: list[dict[str, Any]] = []

    @contextmanager
    def step(self, name: str, shown: Mapping[str, Any] | None = None) -> Iterator[Note]:
        """Run the body as one step; an exception ends it as failed and goes on upwards.

        `shown` are details that are known when it begins.
        """
        self._interruption.raise_if_requested()
        note = Note(details=dict(shown or {}))
        started_at = isoformat(self._clock.now_us())
        begun = {"step": name, "started_at": started_at, "result": RUNNING, **note.details}
        self._tell([*self.records, begun])
        self._announce(begun)
        started = time.perf_counter()
        try:
            with span(f"step {name}") as traced:
                yield note
                traced.attributes |= _attributes(note)
        except Exception as error:
            note.result = "failed"
            note.details["reason"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._finish(name, note, started_at, time.perf_counter() - started)

    def _finish(self, name: str, note: Note, started_at: str, seconds: float) -> None:
        record = {
            "step": name,
            "started_at": started_at,
            "duration_seconds": round(seconds, 3),
            "rows": note.rows,
            "result": note.result,
            **note.details,
        }
        shown = {key: value for key, value in record.items() if value is not None}
        self.records.append(shown)
        write = self._log.error if note.result == "failed" else self._log.info
        write("step", **shown)
        self._tell(self.records)

    def _announce(self, begun: dict[str, Any]) -> None:
        """A line at the start of a step that usually takes long: people wait for it."""
        usual = self._usual.steps.get(begun["step"], 0.0)
        progress = progress_of(0, [*self.records, begun], self._usual, self._clock.now_us())
        if usual < LONG_SECONDS or progress is None:
            return
        self._log.info(
            "step_begun",
            step=begun["step"],
            usual_seconds=round(usual, 1),
            is_measured=self._usual.is_measured,
            run_expected_until=isoformat(progress.ends_at_us),
            is_first_model=progress.is_first,
        )

    def _tell(self, records: list[dict[str, Any]]) -> None:
        # progress display only: the run's record holds all steps
        with suppress(DataUnavailable):
            self._show(records)


def _attributes(note: Note) -> dict[str, str | bool | int | float]:
    """Attributes of a step in a trace: its numbers, without lists."""
    said = {"rows": note.rows, "result": note.result, **note.details}
    return {
        name: value for name, value in said.items() if isinstance(value, str | bool | int | float)
    }


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
