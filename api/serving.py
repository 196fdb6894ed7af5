"""One process that serves: its parts, its server, its orderly end."""

import faulthandler
import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

import usecases
from api.app import create_app
from api.http.short_way import ShortWays, protocol_for
from api.memory import keep_small, settle
from api.scoring.routes import short_ways
from api.settings import Settings
from api.wiring import build_service
from api.workers.place import Place
from shared.clock import SystemClock

# Requests under way get this long; then the journal is drained.
_GRACE_SECONDS = 5
NOT_STARTED = 3


def serve(settings: Settings, place: Place) -> None:
    """Build the service and run it in this process.

    Raises:
        SettingsError: a setting names something that cannot be used.
    """
    # Where a native crash happened is the last thing that the log says.
    faulthandler.enable()
    keep_small()
    use_case = usecases.load_serving(settings.use_case)
    service = build_service(settings, use_case, SystemClock(), place=place)
    run(create_app(service), settings, place.listener, short_ways(service))


def run(
    app: ASGIApp,
    settings: Settings,
    listener: socket.socket | None = None,
    ways: ShortWays = ShortWays(),  # noqa: B008 - frozen
) -> None:
    """Serve an application until told to stop, which is an orderly end and not a failure."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises the signal again when it has ended; this is where it lands.
        signal.signal(number, _end)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http=protocol_for(ways),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        # who asks is who connects: a header that says otherwise would evade the limits
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    server.run(sockets=None if listener is None else [listener])
    if not server.started:
        sys.exit(NOT_STARTED)


class _Server(uvicorn.Server):
    """Puts memory in order between starting and the first request."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle()


def _end(_number: int, _frame: object) -> None:
    sys.exit(0)
