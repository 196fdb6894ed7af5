"""The composition root: settings, parts, server."""

import signal
import socket
import sys

import structlog
import uvicorn
from starlette.types import ASGIApp

import usecases
from api.app import create_app
from api.memory import keep_small, settle
from api.settings import Settings, load_settings
from api.wiring import build_service
from shared.clock import SystemClock
from shared.errors import SettingsError
from shared.logs import configure_logging

_log = structlog.get_logger()
# Requests under way get this long; then the journal is drained.
_GRACE_SECONDS = 5
_NOT_STARTED = 3


def main() -> int:
    """Serve until told to stop; a setting that cannot be used ends it with one line."""
    keep_small()
    try:
        settings = load_settings()
        configure_logging("api", settings.log_level, settings.log_format, settings.log_file)
        serve(settings)
    except SettingsError as error:
        print(f"api: {error}", file=sys.stderr)  # noqa: T201 - before or instead of the log
        return 2
    return 0


def serve(settings: Settings) -> None:
    """Build the service and run it in this process.

    Raises:
        SettingsError: a setting names something that cannot be used.
    """
    use_case = usecases.load_serving(settings.use_case)
    run(create_app(build_service(settings, use_case, SystemClock())), settings)


def run(app: ASGIApp, settings: Settings, listener: socket.socket | None = None) -> None:
    """Serve an application until told to stop, which is an orderly end and not a failure."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises the signal again when it has ended; this is where it lands.
        signal.signal(number, _end)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    server.run(sockets=None if listener is None else [listener])
    if not server.started:
        sys.exit(_NOT_STARTED)


class _Server(uvicorn.Server):
    """Puts memory in order between starting and the first request."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle()


def _end(_number: int, _frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
