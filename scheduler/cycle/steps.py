"""Steps: each is timed, logged as one line and kept for the record of its run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from shared.errors import DataUnavailable


@dataclass(slots=True)
class Note:
    """Receives the progress of a step while it runs; `details` are extra figures."""

    rows: int | None = None
    result: str = "ok"
    details: dict[str, Any] = field(default_factory=dict)


class StepLog:
    """The steps of one run, in order; `show` gets all of them after each."""

    def __init__(
        self,
        log: FilteringBoundLogger,
        interruption: Interruption,
        show: Callable[[list[dict[str, Any]]], object] = len,
    ) -> None:
        self._log = log
        self._interruption = interruption
        self._show = show
        self.records: list[dict[str, Any]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Run the body as one step; an exception ends it as failed and goes on upwards."""
        self._interruption.raise_if_requested()
        note = Note()
        started = time.perf_counter()
        try:
            yield note
        except Exception as error:
            note.result = "failed"
            note.details["reason"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._finish(name, note, time.perf_counter() - started)

    def _finish(self, name: str, note: Note, seconds: float) -> None:
        record = {
            "step": name,
            "duration_seconds": round(seconds, 3),
            "rows": note.rows,
            "result": note.result,
            **note.details,
        }
        shown = {key: value for key, value in record.items() if value is not None}
        self.records.append(shown)
        write = self._log.error if note.result == "failed" else self._log.info
        write("step", **shown)
        # only for people who wait: the record of the run has them all
        with suppress(DataUnavailable):
            self._show(self.records)
