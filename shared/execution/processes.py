"""Tasks in processes of this machine, which end with the one that started them."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from shared.execution.executor import (
    ATTEMPTS,
    Common,
    Item,
    Result,
    TaskFailed,
    TaskLimits,
    Watch,
    carry_out,
    told,
)
from shared.system.child_processes import end_with_parent, how_it_ended

_LOOK_SECONDS = 1.0
# the task's own alarm comes first; this is for native code that does not handle the signal
_LATE_SECONDS = 5.0


class LocalProcesses:
    """A fixed number of processes, each with one task at a time."""

    def __init__(self, processes: int, limits: TaskLimits) -> None:
        self._processes = processes
        self._limits = limits

    def map(
        self,
        function: Callable[[Common, Item], Result],
        common: Common,
        items: Sequence[Item],
        *,
        names: Sequence[str],
        watch: Watch,
    ) -> list[Result]:
        """See `Executor.map`. A task whose process dies is begun again in another one."""
        tasks = _Tasks(list(items), list(names), self._limits)

        def start() -> _Worker:
            return _start(function, common, self._limits)

        workers = [start() for _ in range(min(self._processes, len(tasks.items)))]
        try:
            for worker in workers:
                tasks.give(worker)
            while tasks.is_open:
                watch(len(tasks.results))
                _look(workers, tasks, start)
        finally:
            for worker in workers:
                worker.end()
        return [tasks.results[at] for at in range(len(tasks.items))]


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: "Connection[Any, Any]"
    at: int | None = None
    since: float = 0.0

    def end(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()


@dataclass(slots=True)
class _Tasks:
    """Tasks to be done and done, and how often each was begun."""

    items: list[Any]
    names: list[str]
    limits: TaskLimits
    results: dict[int, Any] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    begun: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = list(range(len(self.items)))

    @property
    def is_open(self) -> bool:
        return len(self.results) < len(self.items)

    def give(self, worker: _Worker) -> None:
        worker.at = self.waiting.pop(0) if self.waiting else None
        if worker.at is None:
            return
        worker.since = time.monotonic()
        self.begun[worker.at] = self.begun.get(worker.at, 0) + 1
        # OSError: its process died, which the next check handles
        with suppress(OSError):
            worker.pipe.send(self.items[worker.at])

    def take(self, worker: _Worker, said: tuple[bool, Any]) -> None:
        """Raises TaskFailed when the task failed."""
        at, (is_well, value) = worker.at, said
        if at is None:
            return
        if not is_well:
            raise TaskFailed(told(self.names[at], value)) from value
        self.results[at] = value

    def lost(self, worker: _Worker) -> None:
        """Raises TaskFailed when the process died too often."""
        at = worker.at
        if at is None:
            return
        if self.begun[at] >= ATTEMPTS:
            ended = how_it_ended(worker.process.exitcode or 0)
            raise TaskFailed(f"{self.names[at]}: its process {ended}, {ATTEMPTS} times")
        self.waiting.insert(0, at)

    def refuse_late(self, worker: _Worker) -> None:
        limit = self.limits.seconds
        if limit is None or worker.at is None:
            return
        if time.monotonic() - worker.since > limit + _LATE_SECONDS:
            raise TaskFailed(
                f"{self.names[worker.at]}: not finished after {limit:g} s (TASK_TIME_LIMIT_SECONDS)"
            )


def _look(workers: list[_Worker], tasks: _Tasks, start: Callable[[], _Worker]) -> None:
    busy = [at for at, worker in enumerate(workers) if worker.at is not None]
    ready = wait([workers[at].pipe for at in busy], timeout=_LOOK_SECONDS)
    for at in busy:
        worker = workers[at]
        if worker.pipe not in ready:
            tasks.refuse_late(worker)
            continue
        try:
            tasks.take(worker, worker.pipe.recv())
        except (EOFError, OSError):
            worker.end()
            tasks.lost(worker)
            workers[at] = start()
        tasks.give(workers[at])


def _start(function: Callable[[Any, Any], Any], common: Any, limits: TaskLimits) -> _Worker:
    # spawn, not fork: the libraries of a run have started threads
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_serve, args=(os.getpid(), theirs, function, common, limits), daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(
    parent_pid: int,
    pipe: "Connection[Any, Any]",
    function: Callable[[Any, Any], Any],
    common: Any,
    limits: TaskLimits,
) -> None:
    """The life of a process: one item after another, until it is killed."""
    end_with_parent(parent_pid)
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            said = (True, carry_out(function, common, item, limits))
        except Exception as error:  # noqa: BLE001 - it is told to the parent
            said = (False, error)
        _send(pipe, said)


def _send(pipe: "Connection[Any, Any]", said: tuple[bool, Any]) -> None:
    try:
        pipe.send(said)
    except Exception as error:  # noqa: BLE001 - what cannot be sent is told in words
        pipe.send((False, RuntimeError(f"{type(said[1]).__name__}: {error}")))
