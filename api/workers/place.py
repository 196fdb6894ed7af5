"""Which of the workers a process is, and what it was handed by the one that started it."""

import socket
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
