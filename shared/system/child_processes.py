"""Child processes: how they are started, how they end, and how they notice that their parent did.

| side   | function               | for                                                          |
|--------|------------------------|--------------------------------------------------------------|
| parent | `start_child`          | a process in a separate session, without a standard input  |
| parent | `module_command`       | `python -m MODULE` with the interpreter of this process      |
| parent | `bare_environment`     | a child that gets no setting and no secret of the service    |
| parent | `stop_child`           | ask it to end, and kill its process group when it does not   |
| parent | `stop_children`        | the same for several, at the same time                       |
| parent | `kill_child`           | end it and all it started, now                               |
| parent | `how_it_ended`         | an exit status in words                                      |
| child  | `end_with_parent`      | end when the parent does, however that ends                  |
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeAlias

from native.linux import signal_when_parent_ends
from shared.telemetry import SWITCHES

ChildProcess: TypeAlias = subprocess.Popen[bytes]

INSTALLATION = Path(__file__).resolve().parents[2]
"""The folder that our packages are imported from."""

_PARENT_POLL_SECONDS = 1.0


def module_command(module: str, *arguments: str) -> list[str]:
    """`python -m MODULE ARGUMENTS` with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def bare_environment(home: str) -> dict[str, str]:
    """Variables for a child that handles a model: what it needs to import, nothing of ours."""
    ours = {"PYTHONPATH": str(INSTALLATION), "HOME": home, "OMP_NUM_THREADS": "1"}
    return {**SWITCHES, **ours}


def start_child(
    command: Sequence[str],
    *,
    folder: Path | str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    descriptors: Sequence[int] = (),
) -> ChildProcess:
    """Start a process in a separate session.

    Ctrl-C then reaches the parent alone, which decides in which order its children end, and
    all descendants of a child can be killed with it.
    """
    return subprocess.Popen(  # noqa: S603 - our own commands, no shell
        command,
        cwd=folder,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=tuple(descriptors),
        start_new_session=True,
    )


def stop_child(child: ChildProcess, grace_seconds: float) -> bool:
    """Ask a child to end; whether it did within its time, or had to be killed."""
    return not stop_children([child], grace_seconds)


def stop_children(children: Sequence[ChildProcess], grace_seconds: float) -> list[ChildProcess]:
    """Ask all of them to end at the same time; returns those that had to be killed."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + grace_seconds
    killed = []
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            kill_child(child)
            killed.append(child)
    return killed


def kill_child(child: ChildProcess) -> None:
    """Kill a child with everything it started in its session, and wait for its end."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def how_it_ended(status: int) -> str:
    """`ended with status 3`, `was ended by SIGKILL (signal 9)`."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name} (signal {-status})"
    except ValueError:
        return f"was ended by signal {-status}"


def end_with_parent(
    parent_pid: int, number: signal.Signals = signal.SIGKILL, *, by_kernel: bool = False
) -> None:
    """End this process by a signal when its parent ends, however that happens.

    A thread watches the parent: at once on Linux, each second elsewhere. Machine code that
    never gives back the interpreter lock would stop the thread; `by_kernel` asks Linux to send
    the signal itself. Linux does so already when the *thread* of the parent that started this
    process ends, so it is for parents whose thread stays.
    """
    if by_kernel:
        signal_when_parent_ends(number)
    watch = threading.Thread(
        target=_end_after, args=(parent_pid, number), name="parent-watch", daemon=True
    )
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), number)
    watch.start()


def _end_after(parent_pid: int, number: signal.Signals) -> None:
    _wait_for_end(parent_pid)
    os.kill(os.getpid(), number)


def _wait_for_end(parent_pid: int) -> None:
    descriptor = _process_descriptor(parent_pid)
    if descriptor is not None and os.getppid() == parent_pid:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll()
    while os.getppid() == parent_pid:
        time.sleep(_PARENT_POLL_SECONDS)


def _process_descriptor(pid: int) -> int | None:
    """Readable when the process has ended; None where the system has no such thing."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
