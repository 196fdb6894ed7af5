"""The identity of a worker process and what its supervisor handed to it."""

import argparse
import faulthandler
import signal
import socket
from dataclasses import dataclass

from shared.system.child_processes import end_with_parent

DUMP_STACKS_SIGNAL = signal.SIGUSR1


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The number, counters and descriptors of a worker; by default those of the only one.

    Attributes:
        starts: how often there has been a worker of this number, this one included.
        hangs: how many of those before hung and were ended.
        listener: the port that all share; None: open it yourself.
        heartbeat: where to signal that the event loop turns; None: there is no supervisor.
    """

    number: int = 0
    starts: int = 1
    hangs: int = 0
    listener: socket.socket | None = None
    heartbeat: int | None = None


def read_context(arguments: list[str]) -> WorkerContext:
    """Read the command line; from here on the worker ends when its supervisor does."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("number", "starts", "hangs", "listener", "heartbeat", "parent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    said = parser.parse_args(arguments)
    end_with_parent(said.parent, signal.SIGTERM)
    # The supervisor sends this signal before it kills a hanging worker: dump all stacks.
    faulthandler.register(DUMP_STACKS_SIGNAL, all_threads=True)
    listener = socket.socket(fileno=said.listener)
    return WorkerContext(said.number, said.starts, said.hangs, listener, said.heartbeat)
