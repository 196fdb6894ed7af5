"""`python -m tests.api.workers.tiny_crew FOLDER`: the tiny use case under a supervisor.

The supervisor starts this very module again for each worker, with the worker's arguments.
"""

import os
import sys
from pathlib import Path

from api.app import create_app
from api.serving import run, stack_of
from api.settings import Settings
from api.wiring import build_service
from api.workers.supervisor import supervise
from api.workers.worker_context import read_context
from shared.clock import SystemClock
from shared.logs import configure_logging
from tests.api.server import serve_settings
from tests.api.tiny import TinyUseCase


def main(folder: Path, arguments: list[str]) -> int:
    configure_logging("api", fmt="json")
    settings = serve_settings(
        folder,
        api_port=0,
        api_workers=os.environ["API_WORKERS"],
        # a crowded machine takes longer to start a worker again
        peer_wait_seconds=os.environ.get("PEER_WAIT_SECONDS", "60"),
        worker_hang_seconds=os.environ.get("WORKER_HANG_SECONDS", "30"),
    )
    if not arguments:
        command = [sys.executable, "-m", "tests.api.workers.tiny_crew", str(folder)]
        return supervise(settings, command)
    serve_tiny(settings, arguments)
    return 0


def serve_tiny(settings: Settings, arguments: list[str]) -> None:
    place = read_context(arguments)
    service = build_service(settings, TinyUseCase(), SystemClock(), context=place)
    run(create_app(service), settings, place.listener, stack_of(service))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
