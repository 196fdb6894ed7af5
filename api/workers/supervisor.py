"""The supervisor: opens the port, starts the workers, and restarts those that die or hang.

It scores nothing and reads no model. The socket is one and stays open: a connection that is
not accepted yet when a worker dies is accepted by another.
"""

import fcntl
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import structlog

from api.settings import Settings
from api.workers.run_dir import STATE, RunDir
from api.workers.worker_context import DUMP_STACKS_SIGNAL, HeartbeatMonitor, bound
from shared.errors import SettingsError
from shared.system.child_processes import ChildProcess, start_child, stop_children

_log = structlog.get_logger()
_POLL_SECONDS = 0.05
# Grace period for requests in progress and for draining the journal.
_STOP_SECONDS = 15.0
# A worker that ran this long is not counted as a failed start.
_LIVED_SECONDS = 10.0
# After this many failed starts before any worker served, the supervisor gives up.
_QUICK_DEATHS = 5
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 30.0


# Time for a hanging worker to write its stack traces.
_LAST_WORDS_SECONDS = 1.0


@dataclass(slots=True)
class _Worker:
    number: int
    heart: HeartbeatMonitor
    starts: int = 0
    hangs: int = 0
    quick_deaths: int = 0
    started_at: float = 0.0
    due_at: float = 0.0
    kill_at: float | None = None
    process: ChildProcess | None = None


def supervise(settings: Settings, command: Sequence[str]) -> int:
    """Run workers until a signal to stop; returns the exit status.

    Raises:
        SettingsError: the port or the run directory cannot be used.
    """
    signals: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with _own(settings) as run_dir, bound(settings) as listener:
        pool = WorkerPool(settings, command, run_dir, listener)
        return pool.run(signals)


class WorkerPool:
    """The worker processes and their restarts."""

    def __init__(
        self, settings: Settings, command: Sequence[str], run_dir: RunDir, listener: socket.socket
    ) -> None:
        self._settings = settings
        self._command = command
        self._run_dir = run_dir
        self._listener = listener
        hang_seconds, numbers = settings.worker_hang_seconds, range(settings.api_workers)
        self._workers = [_Worker(number, HeartbeatMonitor(hang_seconds)) for number in numbers]
        self._any_was_ready = False

    def run(self, told_to_stop: Sequence[int]) -> int:
        """Keep all workers running; 0 when stopped by a signal and all ended well."""
        status = None
        try:
            while not told_to_stop and status is None:
                status = self._look_after()
                time.sleep(_POLL_SECONDS)
        finally:
            ended_well = self._stop()
            for worker in self._workers:
                worker.heart.close()
        return (0 if ended_well else 1) if status is None else status

    def _look_after(self) -> int | None:
        """One round; an exit status when there is no point in going on."""
        now = time.monotonic()
        for worker in self._workers:
            code = None if worker.process is None else worker.process.poll()
            if code is not None:
                self._buried(worker, code, now)
                hopeless = code > 1 or worker.quick_deaths >= _QUICK_DEATHS
                if hopeless and not self._any_ready():
                    _log.error("workers_cannot_start", status=code)
                    return code if code > 0 else 1
            if worker.process is None and now >= worker.due_at:
                self._start(worker, now)
            else:
                _end_if_it_hangs(worker, now)
        return None

    def _any_ready(self) -> bool:
        """True if any worker has ever served: a failed start does not end a running service."""
        self._any_was_ready = self._any_was_ready or bool(self._run_dir.reports(STATE))
        return self._any_was_ready

    def _start(self, worker: _Worker, now: float) -> None:
        worker.starts += 1
        worker.started_at, worker.kill_at = now, None
        worker.heart.begin()
        descriptors = (self._listener.fileno(), worker.heart.descriptor)
        said = {
            "--number": worker.number,
            "--starts": worker.starts,
            "--hangs": worker.hangs,
            "--listener": descriptors[0],
            "--heartbeat": descriptors[1],
            "--parent": os.getpid(),
        }
        worker.process = start_child(
            [*self._command, *(str(word) for pair in said.items() for word in pair)],
            environment={**os.environ, "API_WORKERS": str(len(self._workers))},
            descriptors=descriptors,
        )
        _log.info(
            "worker_started", worker=worker.number, pid=worker.process.pid, starts=worker.starts
        )

    def _buried(self, worker: _Worker, code: int, now: float) -> None:
        lived = now - worker.started_at
        worker.process = None
        worker.quick_deaths = 0 if lived >= _LIVED_SECONDS else worker.quick_deaths + 1
        pause = _FIRST_PAUSE_SECONDS * 2 ** max(0, worker.quick_deaths - 1)
        worker.due_at = now + min(pause, _LONGEST_PAUSE_SECONDS) * bool(worker.quick_deaths)
        _log.error(
            "worker_died",
            worker=worker.number,
            status=code,
            lived_seconds=round(lived, 1),
            again_in_seconds=round(worker.due_at - now, 1),
        )

    def _stop(self) -> bool:
        """Stops all workers; True if each ended by itself with exit code 0."""
        running = [worker.process for worker in self._workers if worker.process is not None]
        for process in stop_children(running, _STOP_SECONDS):
            _log.error("worker_killed", pid=process.pid, after_seconds=_STOP_SECONDS)
        _log.info("workers_stopped", workers=len(running))
        return all(process.returncode == 0 for process in running)


def _end_if_it_hangs(worker: _Worker, now: float) -> None:
    """Ask it where it is, then kill it; never wait for it, others may need help."""
    if worker.process is None:
        return
    if worker.kill_at is not None:
        if now >= worker.kill_at:
            worker.process.kill()
        return
    if worker.heart.hangs(_POLL_SECONDS):
        worker.hangs += 1
        worker.kill_at = now + _LAST_WORDS_SECONDS
        _log.error("worker_hangs", worker=worker.number, pid=worker.process.pid)
        worker.process.send_signal(DUMP_STACKS_SIGNAL)


@contextmanager
def _own(settings: Settings) -> Iterator[RunDir]:
    """The run directory, empty, until the end."""
    run_dir = RunDir(settings.run_dir, total=settings.api_workers)
    try:
        run_dir.prepare()
        descriptor = os.open(settings.run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        text = f"RUN_DIR: cannot use {settings.run_dir}: {error.strerror}"
        raise SettingsError(f"{text}; several workers need a directory they can write") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        run_dir.clear()
        yield run_dir
    except BlockingIOError as error:
        raise SettingsError(
            f"RUN_DIR: another service uses {settings.run_dir}; stop it or choose another"
        ) from error
    finally:
        os.close(descriptor)
