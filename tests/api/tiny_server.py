"""`python -m tests.api.tiny_server FOLDER [CHANGES]`: the tiny use case in a separate process.

CHANGES: settings as JSON.
"""

import json
import socket
import sys
from pathlib import Path

from api.app import create_app
from api.serving import run
from api.wiring import build_service
from shared.clock import SystemClock
from tests.api.server import serve_settings
from tests.api.tiny import TinyUseCase


def main(folder: Path, changes: str = "{}") -> None:
    settings = serve_settings(folder, **json.loads(changes))
    app = create_app(build_service(settings, TinyUseCase(), SystemClock()))
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    run(app, settings, listener)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
