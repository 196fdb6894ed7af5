"""Child processes side by side: when one ends, or we are told to stop, all end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO

# Both services promise to stop within 10 s; the rest is for a busy machine.
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.2
# Who was asked to stop and did: some servers end by the very signal after cleaning up.
_ENDED_WELL = (0, -signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Service:
    """A process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


def run_together(services: Sequence[Service], say: Callable[[str], None]) -> int:
    """Run until one ends or a signal comes; returns 0 only when we were told to stop."""
    told_to_stop = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        told_to_stop.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    width = max(len(service.name) for service in services)
    children = {service.name: _start(service, width) for service in services}
    try:
        while not told_to_stop.is_set() and all(c.poll() is None for c in children.values()):
            told_to_stop.wait(_POLL_SECONDS)
        for name, child in children.items():
            if child.poll() is not None:
                say(f"{name} ended with exit status {child.returncode}; stopping")
    finally:
        codes = _stop(list(children.values()))
        for number, handler in previous.items():
            signal.signal(number, handler)
    stopped_well = all(code in _ENDED_WELL for code in codes)
    return 0 if told_to_stop.is_set() and stopped_well else 1


def _start(service: Service, width: int) -> "subprocess.Popen[str]":
    child = subprocess.Popen(  # noqa: S603 - our own modules, no shell
        service.command,
        env={**os.environ, **service.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Ctrl-C goes to us alone: we decide the order in which they end
        start_new_session=True,
    )
    if child.stdout is not None:
        prefix = f"{service.name:<{width}} | "
        threading.Thread(target=_relay, args=(child.stdout, prefix), daemon=True).start()
    return child


def _relay(lines: IO[str], prefix: str) -> None:
    for line in lines:
        sys.stdout.write(prefix + line)
        sys.stdout.flush()


def _stop(children: Sequence["subprocess.Popen[str]"]) -> list[int]:
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return [child.returncode for child in children]
