"""Compiled functions made ready by another process, where they are not on disk yet.

Whoever compiles keeps what the compiler needed for it, 50 to 250 MiB, for as long as it lives.
"""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from native.catalogue import COMPILE_CACHE
from native.compiled import without_linear_algebra

with without_linear_algebra():
    from numba.core.event import Listener, install_listener

_COMPILES = "numba:compile"


class _NotOnDisk(Exception):
    """Raised by what would have to be compiled."""


class _Refusal(Listener):  # type: ignore[misc]
    """Lets this thread load, but not compile."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def on_start(self, _event: Any) -> None:
        if threading.get_ident() == self._thread:
            raise _NotOnDisk

    def on_end(self, _event: Any) -> None:
        """Nothing has begun."""


def call_precompiled(work: Callable[[], None]) -> None:
    """Call a module's function that calls compiled functions; compile them elsewhere first.

    Where another process cannot leave them on disk they are compiled here after all.
    """
    if not COMPILE_CACHE.in_use:
        work()
        return
    try:
        with install_listener(_COMPILES, _Refusal()):
            work()
    except _NotOnDisk:
        _in_another_process(work)
        work()


def _in_another_process(work: Callable[[], None]) -> None:
    structlog.get_logger().info("compiling", module=work.__module__)
    code = f"from {work.__module__} import {work.__qualname__} as work; work()"
    subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )
