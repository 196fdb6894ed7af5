"""`understudy run`: both services and the console as separate processes, on one machine."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO, cast

from rich.console import Console

from shared.printable import printable
from shared.system.child_processes import ChildProcess, start_child, stop_children
from understudy.settings import CommandSettings

# Child processes in parallel: when an essential one ends, or on a stop request, all end.

# Both services promise to stop within 10 s; the rest is for a busy machine.
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.2
_LAST_LINES_SECONDS = 2.0
# Exit statuses of a requested stop: some servers re-raise the signal after their shutdown.
_ENDED_WELL = (0, -signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A process to keep running; the others go on without one that is not needed."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_needed: bool = True


@dataclass(frozen=True, slots=True)
class _Child:
    service: ServiceProcess
    process: ChildProcess
    relay: threading.Thread


def run_together(services: Sequence[ServiceProcess], say: Callable[[str], None]) -> int:
    """Run until a needed one ends or a signal comes; returns 0 only after a requested stop."""
    # a list, not an Event: setting one inside a handler can deadlock with the thread it stopped
    told_to_stop: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told_to_stop.append(number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    width = max(len(service.name) for service in services)
    children = [_start(service, width) for service in services]
    try:
        missed: set[str] = set()
        while not told_to_stop and _all_run(children):
            _tell_of_missed(children, missed, say)
            time.sleep(_POLL_SECONDS)
        for child in children:
            if not told_to_stop and child.service.is_needed and child.process.poll() is not None:
                say(f"{_how_it_ended(child)}; stopping")
    finally:
        codes = _stop(children)
        for number, handler in previous.items():
            signal.signal(number, handler)
    needed = [code for code, child in zip(codes, children, strict=True) if child.service.is_needed]
    stopped_well = all(code in _ENDED_WELL for code in needed)
    return 0 if told_to_stop and stopped_well else 1


def _all_run(children: Sequence[_Child]) -> bool:
    """True if every required service runs."""
    return all(child.process.poll() is None for child in children if child.service.is_needed)


def _tell_of_missed(
    children: Sequence[_Child], missed: set[str], say: Callable[[str], None]
) -> None:
    """One line of each that ended and that the others do without."""
    for child in children:
        if child.service.name not in missed and child.process.poll() is not None:
            missed.add(child.service.name)
            say(f"{_how_it_ended(child)}; the services go on without it")


def _how_it_ended(child: _Child) -> str:
    return f"{child.service.name} ended with exit status {child.process.returncode}"


def _start(service: ServiceProcess, width: int) -> _Child:
    process = start_child(
        service.command,
        environment={**os.environ, "PYTHONUNBUFFERED": "1", **service.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = io.TextIOWrapper(cast(IO[bytes], process.stdout), errors="replace")
    prefix = f"{service.name:<{width}} | "
    relay = threading.Thread(target=_relay, args=(lines, prefix), daemon=True)
    relay.start()
    return _Child(service, process, relay)


def _relay(lines: IO[str], prefix: str) -> None:
    with lines:
        for line in lines:
            sys.stdout.write(prefix + printable(line))
            sys.stdout.flush()


def _stop(children: Sequence[_Child]) -> list[int]:
    stop_children([child.process for child in children], STOP_SECONDS)
    for child in children:
        # bounded wait for the last lines: a grandchild may keep the pipe open
        child.relay.join(_LAST_LINES_SECONDS)
    return [child.process.returncode for child in children]


def run_services(
    settings: CommandSettings,
    console: Console,
    workers: int | None = None,
    as_of: str | None = None,
) -> int:
    """Run API, scheduler and console until Ctrl-C; the exit status to end with.

    `as_of`: the instant whose knowledge training uses, in place of TRAIN_AS_OF.
    """
    url = f"http://{settings.api_host}:{settings.api_port}"
    logs = settings.logs_dir
    places = {
        "API": url,
        "docs": f"{url}/docs",
        "console": f"http://{settings.console_host}:{settings.console_port}",
        "logs": f"{logs}/",
        "stop": "Ctrl-C",
    }
    for name, place in places.items():
        console.print(f"{name:>7}  {place}", highlight=False, soft_wrap=True)
    services = [
        ServiceProcess(
            "api",
            [*_module("api.main"), *(["--workers", str(workers)] if workers else [])],
            {"CONSOLE_URL": places["console"], "LOG_FILE": str(logs / "api.log")},
        ),
        ServiceProcess(
            "scheduler",
            _module("scheduler.main"),
            {
                "LOG_FILE": str(logs / "scheduler.log"),
                "API_URL": url,
                **({"TRAIN_AS_OF": as_of} if as_of else {}),
            },
        ),
        ServiceProcess(
            "console",
            _module("console.main"),
            {"LOG_FILE": str(logs / "console.log"), "API_URL": url, **_places_of(settings)},
            is_needed=False,
        ),
    ]
    return run_together(services, lambda line: console.print(line, style="red"))


def _places_of(settings: CommandSettings) -> dict[str, str]:
    """Locations of the data for the console, which knows no use case."""
    root = {} if settings.var_dir is None else {"VAR_DIR": str(settings.var_dir)}
    return {
        **root,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KEYS_DIR": str(settings.keys_dir),
        "RETRAINED_MODELS_DIR": str(settings.retrained_models_dir),
    }


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]
