"""Carries records from the journal into the database, a batch at a time, and says what it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import orjson

from api.journal.checkpoint import Position
from api.journal.durable import sync_file, sync_names
from api.journal.entries import COLUMNS, decode_row
from api.journal.frames import Region
from api.journal.segments import first_between
from api.journal.sink import Record, RowRefused, Sink, Stored
from shared.transaction import Label

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Carried:
    """One batch that is on the disk of the database, or in the file for what it will never take.

    Attributes:
        position: behind its last record, or the end if nothing is left before that.
        refused: what was set aside, and why.
        damage: what lay between its records and is none, each with the number of its segment.
    """

    position: Position
    count: int
    stored: list[Stored] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    damage: list[tuple[int, Region]] = field(default_factory=list)


class Carrier(Protocol):
    """Does the work of one drain, on its thread."""

    def prepare(self) -> None:
        """Make the tables, once.

        Raises:
            DataUnavailable: try again later.
        """
        ...

    def carry(self, begin: Position, end: Position) -> Carried:
        """Carry over the first records between two positions.

        Raises:
            DataUnavailable: try again later; carrying records twice has the effect of once.
        """
        ...

    def close(self) -> None:
        """Nothing more is to be carried."""
        ...


def _go_on() -> None:
    """Where nobody waits for the processor."""


class LocalCarrier:
    """Carries in this process."""

    def __init__(
        self,
        directory: Path,
        sink: Sink,
        batch: int = BATCH,
        now_and_then: Callable[[], object] = _go_on,
    ) -> None:
        """`now_and_then` is called often while it works."""
        self._now_and_then = now_and_then
        self._directory = directory
        self._sink = sink
        self._batch = batch

    def prepare(self) -> None:
        self._sink.prepare()

    def close(self) -> None:
        """Holds nothing."""

    def carry(self, begin: Position, end: Position) -> Carried:
        batch = first_between(self._directory, begin, end, self._batch, self._now_and_then)
        carried = Carried(batch.position, len(batch.payloads), damage=batch.damage)
        records: list[Record] = []
        for payload in batch.payloads:
            self._now_and_then()
            try:
                records.append(decode_row(payload))
            except (ValueError, KeyError, TypeError) as error:
                self._set_aside({"undecodable": payload.hex()}, str(error), carried)
        self._store(records, carried)
        return carried

    def _store(self, records: Sequence[Record], carried: Carried) -> None:
        """Store; halve the batch until the row that the database refuses stands alone."""
        if not records:
            return
        try:
            stored = self._sink.store(records)
        except RowRefused as error:
            if len(records) == 1:
                self._set_aside(_shown(records[0]), str(error), carried)
                return
            middle = len(records) // 2
            self._store(records[:middle], carried)
            self._store(records[middle:], carried)
            return
        for label in stored.unknown_labels:
            self._set_aside(label, "no transaction has this id", carried)
        carried.stored.append(stored)

    def _set_aside(self, record: object, reason: str, carried: Carried) -> None:
        """Keep what cannot be stored in a file of its own, where a person finds it."""
        line = orjson.dumps({"reason": reason, "record": record}, default=_text)
        with _aside(self._directory).open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            # The position will say that it is kept.
            sync_file(file.fileno())
        sync_names(self._directory)
        what = "label" if isinstance(record, Label) else "decision"
        carried.refused.append((what, reason))


def _aside(directory: Path) -> Path:
    """The file for what cannot be stored; another name where a folder has that one."""
    path, number = directory / "set-aside.jsonl", 1
    while path.exists() and not path.is_file():
        path, number = directory / f"set-aside-{number}.jsonl", number + 1
    return path


def _shown(record: Record) -> object:
    return record if isinstance(record, Label) else dict(zip(COLUMNS, record, strict=True))


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
