"""Writes batches in a subprocess, so that storing rows never delays answers.

A thread would share the interpreter's lock with the requests, row by row. The child receives how
far it may read, a line of JSON each way; it only reads the journal, so a child that outlives its
parent is harmless. One that dies is replaced at the next batch.
"""

import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

import usecases
from api.journal.frames import Region
from api.journal.segments import Position
from api.journal.sink import Sink, Stored
from api.journal.writer import WrittenBatch
from shared.errors import DataUnavailable
from shared.system.child_processes import (
    INSTALLATION,
    ChildProcess,
    kill_child,
    module_command,
    start_child,
)
from shared.transaction import Label

_CLOSE_SECONDS = 10
# Larger than the thread's batch: no request waits for this process.
BATCH = 5_000


class ChildDied(Exception):
    """Raised when the process has ended; the next batch starts another."""


class SubprocessWriter:
    """Starts its process with the first batch."""

    def __init__(
        self,
        directory: Path,
        database_url: str,
        sink: Sink,
        batch: int = BATCH,
        use_case: str = usecases.DEFAULT,
        *,
        urgent: bool = False,
    ) -> None:
        """`urgent`: answers wait for its commits, so it is started early and not held back."""
        self._urgent = urgent
        self._hello = {
            "directory": str(directory.absolute()),
            "database_url": database_url,
            "batch": batch,
            "use_case": use_case,
            "urgent": urgent,
        }
        self._sink = sink
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The process that carries, while there is one."""
        return None if self._child is None else self._child.pid

    def prepare(self) -> None:
        # In this process, before the first read: nothing has to wait for the child to start.
        self._sink.prepare()
        if self._urgent and self._child is None:
            self._start()

    def write_batch(self, begin: Position, end: Position) -> WrittenBatch:
        said = self._ask({"begin": _pair(begin), "end": _pair(end)})
        if "unavailable" in said:
            raise DataUnavailable(said["unavailable"])
        if "failed" in said:
            raise RuntimeError(said["failed"])
        return _written(said)

    def close(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return
        if child.stdin is not None:
            # Flushing unsent bytes to a dead child raises.
            with suppress(OSError):
                child.stdin.close()
        try:
            child.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            kill_child(child)
        if child.stdout is not None:
            child.stdout.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        child = self._child or self._start()
        try:
            _write(child, question)
            answer = child.stdout.readline() if child.stdout is not None else b""
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            self.close()
            raise ChildDied("the process that drains the journal is gone")
        try:
            said: dict[str, Any] = orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            # Its later replies would be matched to other requests.
            self.close()
            raise ChildDied("the process that drains the journal does not answer") from error
        return said

    def _start(self) -> ChildProcess:
        child = start_child(
            module_command("api.journal.writer_child"),
            folder=INSTALLATION,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with self._lock:
            self._child = child
        # Not as an argument: every user can read arguments, and the URL may hold a password.
        _write(child, self._hello)
        return child


def _write(child: ChildProcess, said: dict[str, Any]) -> None:
    if child.stdin is None:
        raise OSError("the child process has no pipes")
    child.stdin.write(orjson.dumps(said) + b"\n")
    child.stdin.flush()


def _pair(position: Position) -> list[int]:
    return [position.segment, position.offset]


def _written(said: dict[str, Any]) -> WrittenBatch:
    labels = [Label(**label) for label in said["labels"]]
    unknown = [Label(**label) for label in said["unknown_labels"]]
    refused = [(what, reason) for what, reason in said["refused"]]
    stored = Stored(
        said["transaction_ids"],
        labels,
        unknown,
        said["quarantined_ids"],
        said["new"],
        said["superseded"],
        said["refused_keys"],
    )
    damage = [(number, Region(*region)) for number, region in said["damage"]]
    return WrittenBatch(Position(*said["position"]), said["count"], [stored], refused, damage)
