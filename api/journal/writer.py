"""Writes records of the journal to the database, a batch at a time, and reports what it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import orjson

from api.journal.entries import DEFAULT_FORMAT, RecordFormat, key_of
from api.journal.frames import Region
from api.journal.segments import Position, first_between
from api.journal.sink import JournalRecord, RowRefused, Sink, Stored
from shared.system.files import sync_directory, sync_file
from shared.transaction import Label

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class WrittenBatch:
    """One batch that is on the disk of the database, or in the dead-letter file.

    Attributes:
        position: behind its last record, or the end if no record remains before that.
        refused: records written to the dead-letter file, and why.
        damage: damaged bytes between its records, each with the number of its segment.
    """

    position: Position
    count: int
    stored: list[Stored] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    damage: list[tuple[int, Region]] = field(default_factory=list)


class BatchWriter(Protocol):
    """Carries out one drain on its own thread."""

    def prepare(self) -> None:
        """Make the tables, once.

        Raises:
            DataUnavailable: try again later.
        """
        ...

    def write_batch(self, begin: Position, end: Position) -> WrittenBatch:
        """Write the first records between two positions.

        Raises:
            DataUnavailable: try again later; writing records twice has the effect of once.
        """
        ...

    def close(self) -> None:
        """Ends the writer: no more batches follow."""
        ...


def _go_on() -> None:
    """The default for yielding: no other work needs this processor."""


class InProcessWriter:
    """Writes batches in this process."""

    def __init__(
        self,
        directory: Path,
        sink: Sink,
        batch: int = BATCH,
        now_and_then: Callable[[], object] = _go_on,
        records: RecordFormat = DEFAULT_FORMAT,
    ) -> None:
        """`now_and_then` is called often while it works."""
        self._now_and_then = now_and_then
        self._directory = directory
        self._sink = sink
        self._batch = batch
        self._format = records

    def prepare(self) -> None:
        self._sink.prepare()

    def close(self) -> None:
        """Holds nothing."""

    def write_batch(self, begin: Position, end: Position) -> WrittenBatch:
        batch = first_between(self._directory, begin, end, self._batch, self._now_and_then)
        written = WrittenBatch(batch.position, len(batch.payloads), damage=batch.damage)
        records: list[JournalRecord] = []
        for payload in batch.payloads:
            self._now_and_then()
            try:
                records.append(self._format.decode_row(payload))
            except (ValueError, KeyError, TypeError) as error:
                self._dead_letter({"undecodable": payload.hex()}, str(error), written)
        self._store(records, written)
        return written

    def _store(self, records: Sequence[JournalRecord], written: WrittenBatch) -> None:
        """Store; halve the batch until the row that the database refuses stands alone."""
        if not records:
            return
        try:
            stored = self._sink.store(records)
        except RowRefused as error:
            if len(records) == 1:
                self._dead_letter(self._readable(records[0]), str(error), written)
                if not isinstance(records[0], Label):
                    written.stored.append(Stored(refused=[key_of(records[0])]))
                return
            middle = len(records) // 2
            self._store(records[:middle], written)
            self._store(records[middle:], written)
            return
        for label in stored.unknown_labels:
            self._dead_letter(label, "no row has this id", written)
        written.stored.append(stored)

    def _readable(self, record: JournalRecord) -> object:
        if isinstance(record, Label):
            return record
        return dict(zip(self._format.columns, record, strict=True))

    def _dead_letter(self, record: object, reason: str, written: WrittenBatch) -> None:
        """Write what cannot be stored to the dead-letter file, for an operator."""
        line = orjson.dumps({"reason": reason, "record": record}, default=_text)
        with _dead_letter_path(self._directory).open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            # Flushed before the checkpoint moves past these records.
            sync_file(file.fileno())
        sync_directory(self._directory)
        what = "label" if isinstance(record, Label) else "decision"
        written.refused.append((what, reason))


def _dead_letter_path(directory: Path) -> Path:
    """The file for what cannot be stored; another name where a folder has that one."""
    path, number = directory / "set-aside.jsonl", 1
    while path.exists() and not path.is_file():
        path, number = directory / f"set-aside-{number}.jsonl", number + 1
    return path


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
