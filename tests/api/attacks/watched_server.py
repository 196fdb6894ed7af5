"""`python -m tests.api.attacks.watched_server FOLDER`: a service whose interpreter reports on it.

Every unpickled class, outgoing connection and started command is a line of `events.jsonl`;
an audit hook cannot be taken back, so this is a separate process.
"""

import socket
import sys
from pathlib import Path

from api.app import create_app
from api.serving import run
from api.wiring import build_service
from shared.clock import SystemClock
from shared.logs import configure_logging
from tests.api.attacks.hook import watch
from tests.api.server import serve_settings
from tests.api.tiny import TinyUseCase


def main(folder: Path) -> None:
    configure_logging("api", "info", "json", folder / "api.log")
    settings = serve_settings(folder)
    app = create_app(build_service(settings, TinyUseCase(), SystemClock()))
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    watch(folder / "events.jsonl")
    run(app, settings, listener)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
