"""Compiled functions made ready by another process, where they are not on disk yet.

A process that compiles keeps the memory that its compiler took, 50 to 250 MiB, until it ends.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import structlog

from native.catalogue import COMPILE_CACHE, COMPILE_EVENTS
from native.compiled import without_linear_algebra
from native.parts import Part

_COMPILES = "numba:compile"


class _NotOnDisk(Exception):
    """Raised by what would have to be compiled."""


def call_precompiled(work: Callable[[], None], events: Part = COMPILE_EVENTS) -> None:
    """Call a module's function that calls compiled functions; compile them elsewhere first.

    Where another process cannot leave them on disk they are compiled here after all.
    """
    refusing = _refusing_to_compile(events) if COMPILE_CACHE.in_use else None
    if refusing is None:
        work()
        return
    if _loads(work, refusing):
        return
    with _alone():
        # workers start together: one compiles, the others load its result from disk
        again = _refusing_to_compile(events)
        if again is None or not _loads(work, again):
            _in_another_process(work)
    work()


def _loads(work: Callable[[], None], refusing: AbstractContextManager[object]) -> bool:
    """True if everything was on disk."""
    try:
        with refusing:
            work()
    except _NotOnDisk:
        return False
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """One compiling process at a time on this machine and for this user; who waits is told."""
    path = Path(tempfile.gettempdir()) / f"understudy-compiling-{os.getuid()}.lock"
    try:
        lock = path.open("ab")
    except OSError:
        yield
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            structlog.get_logger().info("waiting_for_compilation", lock=str(path))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _refusing_to_compile(events: Part) -> AbstractContextManager[object] | None:
    """Lets this thread load, but not compile; None where numba does not report compilations."""
    if not events.in_use:
        return None
    try:
        with without_linear_algebra():
            from numba.core.event import Listener, install_listener  # noqa: PLC0415
    except ImportError as error:
        events.fall_back(str(error))
        return None
    refused = threading.get_ident()

    class CompileRefusal(Listener):  # type: ignore[misc]
        def on_start(self, _event: Any) -> None:
            if threading.get_ident() == refused:
                raise _NotOnDisk

        def on_end(self, _event: Any) -> None:
            """Does nothing: no work has begun."""

    return cast(AbstractContextManager[object], install_listener(_COMPILES, CompileRefusal()))


def _in_another_process(work: Callable[[], None]) -> None:
    structlog.get_logger().info("compiling", module=work.__module__)
    code = f"from {work.__module__} import {work.__qualname__} as work; work()"
    subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )
