"""An executor: one function over several items, results in the order of the items.

| executor          | tasks run                                                            |
|-------------------|----------------------------------------------------------------------|
| `InTurn`          | in this process, one after another: the default                      |
| `LocalProcesses`  | in processes of this machine (processes.py)                          |
| `RayExecutor`     | on a Ray cluster (ray_cluster.py)                                    |

The process that asks stays the driver: it holds the lease, hears requests to stop, and its death
ends its tasks. A task gets what all share (`common`) and its item, and has no other state: when its
process dies it may be repeated elsewhere, and the same inputs give the same bits everywhere.
"""

import resource
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, TypeVar

from shared.errors import UnderstudyError

Common = TypeVar("Common")
Item = TypeVar("Item")
Result = TypeVar("Result")

Watch = Callable[[int], None]
"""Called about once a second with the number of finished tasks; what it raises ends all tasks."""

ATTEMPTS = 4
"""The most starts of a task whose process dies; an exception of the task itself is final."""


class TaskFailed(UnderstudyError):
    """Raised when a task failed; the message begins with the name of its item."""


class TaskTimedOut(UnderstudyError):
    """Raised inside a task that has used up its time."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of one task; None: none but those of the run.

    Attributes:
        memory_bytes: memory that a task may ask for beyond what its process has at its start.
    """

    seconds: float | None = None
    memory_bytes: int | None = None


class Executor(Protocol):
    """Carries out independent tasks."""

    def map(
        self,
        function: Callable[[Common, Item], Result],
        common: Common,
        items: Sequence[Item],
        *,
        names: Sequence[str],
        watch: Watch,
    ) -> list[Result]:
        """The results, in the order of the items.

        `function` is importable by its name, as it is not sent to where it runs; `common` is what
        every task needs, and is sent once; `names` are what errors call the items.

        Raises:
            TaskFailed: names the item and says why; the other tasks are ended.
        """
        ...


def ignore(_finished: int) -> None:
    """A `Watch` that does nothing."""


class InTurn:
    """One task after another in this process, under the limits of the run alone."""

    def map(
        self,
        function: Callable[[Common, Item], Result],
        common: Common,
        items: Sequence[Item],
        *,
        names: Sequence[str],
        watch: Watch,
    ) -> list[Result]:
        results: list[Result] = []
        for item, name in zip(items, names, strict=True):
            watch(len(results))
            try:
                results.append(function(common, item))
            except UnderstudyError:
                raise
            except Exception as error:
                raise TaskFailed(told(name, error)) from error
        return results


def told(name: str, error: BaseException) -> str:
    """The item, and what happened to it, in one line."""
    if isinstance(error, MemoryError):
        return f"{name}: used up the memory of a task (TASK_MEMORY_LIMIT_BYTES)"
    lines = str(error).strip().splitlines()
    return f"{name}: {type(error).__name__}: {lines[0][:300]}" if lines else f"{name}: {error!r}"


def carry_out(
    function: Callable[[Any, Any], Any], common: Any, item: Any, limits: TaskLimits
) -> Any:
    """One task in the process that was made for tasks.

    Raises:
        TaskTimedOut: it has used up its time.
        MemoryError: it asked for more memory than it may have.
    """
    with ExitStack() as stack:
        for limit in _limited(limits):
            stack.enter_context(limit)
        return function(common, item)


def _limited(limits: TaskLimits) -> Iterator[AbstractContextManager[None]]:
    if limits.memory_bytes is not None:
        yield _limited_memory(limits.memory_bytes)
    if limits.seconds is not None and threading.current_thread() is threading.main_thread():
        yield _limited_time(limits.seconds)


@contextmanager
def _limited_memory(more_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data_bytes() + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """Private memory that counts against RLIMIT_DATA."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - one small read
            return int(file.read().split()[5]) * resource.getpagesize()
    except OSError:
        return 0


@contextmanager
def _limited_time(seconds: float) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TaskTimedOut(f"not finished after {seconds:g} s (TASK_TIME_LIMIT_SECONDS)")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_IN_TURN = InTurn()
_current: ContextVar[Executor] = ContextVar("executor", default=_IN_TURN)
_of_files: ContextVar[Executor] = ContextVar("executor_of_files", default=_IN_TURN)


def current_executor() -> Executor:
    """The executor of this run."""
    return _current.get()


def executor_of_files() -> Executor:
    """The executor of tasks that read and write files of this process's folders."""
    return _of_files.get()


@contextmanager
def executing(executor: Executor, of_files: Executor | None = None) -> Iterator[None]:
    """Let the tasks of a run be carried out by this executor.

    `of_files` carries out those that work on files of the run, where the machines of the executor
    do not have them.
    """
    tokens = _current.set(executor), _of_files.set(of_files or executor)
    try:
        yield
    finally:
        _current.reset(tokens[0])
        _of_files.reset(tokens[1])
