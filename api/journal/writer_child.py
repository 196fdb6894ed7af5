"""`python -m api.journal.writer_child`: the other end of `api.journal.subprocess_writer`.

It yields the processor often: Linux switches processes at a timer tick, every 4 ms on many
machines, which is the whole time an answer may take. A process that sleeps yields at once and
resumes at a tick, so a request waits at most for the work between two of its sleeps.
"""

import gc
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, event

import usecases
from api.journal.entries import RecordFormat
from api.journal.segments import Position
from api.journal.sink import DatabaseSink
from api.journal.writer import InProcessWriter, WrittenBatch
from native.linux import forget_code
from shared.errors import DataUnavailable, UnderstudyError
from shared.tables.engine import connect

_TURN_NS = 1_000_000
_REST_SECONDS = 50e-6

# About a quarter of a contended core: more than storing rows needs.
_NICE = 5
_STATEMENT_TIMEOUT_SECONDS = 5
_CACHE_KIB = 8 * 1024
# opcodes of SQLite's virtual machine: about 0.1 ms
_STEPS_BETWEEN_LOOKS = 1_000


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


def _as_json(written: WrittenBatch) -> dict[str, Any]:
    return {
        "position": [written.position.segment, written.position.offset],
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


if __name__ == "__main__":
    main()
