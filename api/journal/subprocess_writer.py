"""Writes batches in a subprocess, so that storing rows never delays answers.

A thread would share the interpreter's lock with the requests, row by row. The child, which is
`python -m api.journal.subprocess_writer`, receives how far it may read, a line of JSON each way; it
only reads the journal, so a child that outlives its parent is harmless. One that dies is replaced
at the next batch.

It yields the processor often: Linux switches processes at a timer tick, every 4 ms on many
machines, which is the whole time an answer may take. A process that sleeps yields at once and
resumes at a tick, so a request waits at most for the work between two of its sleeps.
"""

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, event

import usecases
from api.journal.entries import RecordFormat
from api.journal.frames import Region
from api.journal.segments import Position
from api.journal.sink import DatabaseSink, Sink, Stored
from api.journal.writer import InProcessWriter, WrittenBatch
from native.linux import forget_code
from shared.errors import DataUnavailable, UnderstudyError
from shared.system.child_processes import (
    INSTALLATION,
    ChildProcess,
    kill_child,
    module_command,
    start_child,
)
from shared.tables.engine import connect
from shared.transaction import Label

_CLOSE_SECONDS = 10
# Larger than the thread's batch: no request waits for this process.
BATCH = 5_000
_TURN_NS = 1_000_000
_REST_SECONDS = 50e-6
# About a quarter of a contended core: more than storing rows needs.
_NICE = 5
_STATEMENT_TIMEOUT_SECONDS = 5
_CACHE_KIB = 8 * 1024
# opcodes of SQLite's virtual machine: about 0.1 ms
_STEPS_BETWEEN_LOOKS = 1_000


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
            module_command("api.journal.subprocess_writer"),
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


def _as_json(written: WrittenBatch) -> dict[str, Any]:
    return {
        "position": _pair(written.position),
        "count": written.count,
        "transaction_ids": [name for part in written.stored for name in part.transaction_ids],
        "quarantined_ids": [name for part in written.stored for name in part.quarantined_ids],
        "labels": [label for part in written.stored for label in part.labels],
        "unknown_labels": [label for part in written.stored for label in part.unknown_labels],
        "new": sum(part.new for part in written.stored),
        "superseded": [key for part in written.stored for key in part.superseded],
        "refused_keys": [key for part in written.stored for key in part.refused],
        "refused": written.refused,
        "damage": [[number, list(region)] for number, region in written.damage],
    }


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


class CooperativeYield:
    """Called often by a long computation; it sleeps briefly once a time slice is used up."""

    def __init__(self) -> None:
        self._began_ns = time.thread_time_ns()

    def __call__(self) -> int:
        """Rest, perhaps; 0, which SQLite takes for: go on."""
        if time.thread_time_ns() - self._began_ns > _TURN_NS:
            time.sleep(_REST_SECONDS)
            self._began_ns = time.thread_time_ns()
        return 0


def main() -> None:
    """Answer requests until the parent has ended."""
    # The parent ends this process by closing its stdin, or by dying.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    answers = _keep_answers_apart()
    hello = orjson.loads(sys.stdin.buffer.readline())
    if not hello["urgent"]:
        _lower_priority()
    engine = connect(hello["database_url"], _STATEMENT_TIMEOUT_SECONDS)
    turns = CooperativeYield()
    rest_inside_statements(engine, turns)
    records = RecordFormat(usecases.row_store(hello["use_case"]))
    sink = DatabaseSink(engine, _CACHE_KIB, records)
    writer = InProcessWriter(Path(hello["directory"]), sink, hello["batch"], turns, records)
    # Rows form no reference cycles: garbage collection would scan thousands of them in vain.
    gc.freeze()
    gc.disable()
    forget_code()
    for line in sys.stdin.buffer:
        question = orjson.loads(line)
        answer = _answer(writer, Position(*question["begin"]), Position(*question["end"]))
        if not _send(answers, orjson.dumps(answer) + b"\n"):
            break
        gc.collect()
    engine.dispose()


def _keep_answers_apart() -> int:
    """The stream of answers; other output, such as log lines, goes elsewhere."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _send(answers: int, line: bytes) -> bool:
    """Sends to the parent and returns False if it is gone; its successor repeats the batch."""
    try:
        while line:
            line = line[os.write(answers, line) :]
    except BrokenPipeError:
        return False
    return True


def _lower_priority() -> None:
    """Leave the processor to the requests where it is short; a batch can wait, a caller not."""
    os.nice(_NICE)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def rest_inside_statements(engine: Engine, turns: CooperativeYield) -> None:
    """One statement stores thousands of rows."""
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def connected(raw: sqlite3.Connection, _record: object) -> None:
            raw.set_progress_handler(turns, _STEPS_BETWEEN_LOOKS)


def _answer(writer: InProcessWriter, begin: Position, end: Position) -> dict[str, Any]:
    try:
        written = writer.write_batch(begin, end)
    except DataUnavailable as error:
        return {"unavailable": str(error)}
    except (UnderstudyError, OSError, ValueError) as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    return _as_json(written)


if __name__ == "__main__":
    main()
