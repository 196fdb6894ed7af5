"""One of several workers: started by the supervisor, on the socket it was handed.

python -m api.workers.worker --number 0 --listener FD --lifeline FD --starts 1
"""

import argparse
import os
import signal
import socket
import sys
import threading

import structlog

from api.serving import serve
from api.settings import load_settings
from api.workers.place import Place
from shared.errors import SettingsError
from shared.logs import configure_logging


def take_place(arguments: list[str]) -> Place:
    """Read the command line; from here on the worker ends when its supervisor does."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("number", "listener", "lifeline", "starts"):
        parser.add_argument(f"--{name}", type=int, required=True)
    said = parser.parse_args(arguments)
    threading.Thread(target=_end_with, args=(said.lifeline,), daemon=True).start()
    return Place(said.number, said.starts, socket.socket(fileno=said.listener))


def main() -> int:
    """Serve until told to stop."""
    try:
        settings = load_settings()
        configure_logging("api", settings.log_level, settings.log_format, settings.log_file)
        place = take_place(sys.argv[1:])
        structlog.contextvars.bind_contextvars(worker=place.number)
        serve(settings, place)
    except SettingsError as error:
        print(f"api: {error}", file=sys.stderr)  # noqa: T201 - before or instead of the log
        return 2
    return 0


def _end_with(lifeline: int) -> None:
    """The supervisor holds the other end: when it dies, however it dies, this returns."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
