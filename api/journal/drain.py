"""The drain: a thread that carries the journal into the database, batch by batch."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from api.journal.entries import decode
from api.journal.journal import Journal
from api.journal.sink import Record, RowRefused, Sink, Stored
from shared.errors import DataUnavailable
from shared.transaction import Label

_log = structlog.get_logger()
_BATCH = 1_000
# While the database is away: waits double up to this.
_MAX_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class DrainEvents:
    """Who wants to know, called on the drain's thread."""

    stored: Callable[[Stored], None]
    refused: Callable[[str], None]


class Drain:
    """One thread; `stop` carries over what is left and gives up when the database is away."""

    def __init__(
        self, journal: Journal, sink: Sink, events: DrainEvents, every_seconds: float, aside: Path
    ) -> None:
        self._journal = journal
        self._sink = sink
        self._events = events
        self._every_seconds = every_seconds
        self._aside = aside
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-drain", daemon=True)
        self.trouble: str | None = None

    def start(self) -> None:
        """Make the tables if the database is there, and go to work."""
        try:
            self._sink.prepare()
        except DataUnavailable as error:
            self._tell(str(error))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._carry_all()
        if self._journal.backlog:
            _log.warning("journal_left_for_next_start", records=self._journal.backlog)

    def _run(self) -> None:
        wait = self._every_seconds
        while not self._stopping.wait(wait):
            well = self._carry_all()
            wait = self._every_seconds if well else min(max(wait, 0.1) * 2, _MAX_WAIT_SECONDS)

    def _carry_all(self) -> bool:
        """Carry over what is there now; False when it has to be tried again."""
        try:
            while batch := self._journal.read(_BATCH):
                self._carry(batch)
        except DataUnavailable as error:
            self._tell(str(error))
            return False
        except Exception as error:  # noqa: BLE001
            # Whatever it is, decisions stay in the journal and the thread stays alive.
            _log.exception("journal_drain_failed")
            self.trouble = type(error).__name__
            return False
        if self.trouble is not None:
            _log.info("journal_drains_again")
            self.trouble = None
        return True

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.warning("journal_waits_for_database", error=trouble, backlog=self._journal.backlog)
        self.trouble = trouble

    def _carry(self, batch: Sequence[tuple[bytes, Any]]) -> None:
        records: list[Record] = []
        for payload, _ in batch:
            try:
                records.append(decode(payload))
            except (ValueError, KeyError, TypeError) as error:
                self._set_aside({"undecodable": payload.hex()}, str(error))
        self._store(records)
        self._journal.release(batch[-1][1], len(batch))

    def _store(self, records: Sequence[Record]) -> None:
        """Store; halve the batch until the row that the database refuses stands alone."""
        if not records:
            return
        try:
            stored = self._sink.store(records)
        except RowRefused as error:
            if len(records) == 1:
                self._set_aside(records[0], str(error))
                return
            middle = len(records) // 2
            self._store(records[:middle])
            self._store(records[middle:])
            return
        for label in stored.unknown_labels:
            self._set_aside(label, "no transaction has this id")
        self._events.stored(stored)

    def _set_aside(self, record: object, reason: str) -> None:
        """Keep what cannot be stored in a file of its own, where a person finds it."""
        line = orjson.dumps({"reason": reason, "record": record}, default=_text)
        with self._aside.open("ab") as file:
            file.write(line + b"\n")
        what = "label" if isinstance(record, Label) else "decision"
        _log.error("journal_record_set_aside", what=what, reason=reason, file=str(self._aside))
        self._events.refused(what)


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
