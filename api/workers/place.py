"""Which of the workers a process is, and what it was handed by the one that started it."""

import argparse
import os
import signal
import socket
import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """The only worker, unless told otherwise.

    Attributes:
        starts: how often there has been a worker of this number, this one included.
        listener: the port that all share; None: open it yourself.
    """

    number: int = 0
    starts: int = 1
    listener: socket.socket | None = None


def take_place(arguments: list[str]) -> Place:
    """Read the command line; from here on the worker ends when its supervisor does."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("number", "listener", "lifeline", "starts"):
        parser.add_argument(f"--{name}", type=int, required=True)
    said = parser.parse_args(arguments)
    threading.Thread(target=_end_with, args=(said.lifeline,), daemon=True).start()
    return Place(said.number, said.starts, socket.socket(fileno=said.listener))


def _end_with(lifeline: int) -> None:
    """The supervisor holds the other end: when it dies, however it dies, this returns."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
