"""Start of the console: `python -m console.main`."""

import argparse
import socket
import sys
from collections.abc import Sequence

import structlog
import uvicorn
from starlette.types import ASGIApp

from console.connections import ConnectionLimits, protocol_for
from console.settings import ConsoleSettings, load_settings
from console.wiring import WiredConsole, wire
from shared.errors import SettingsError
from shared.logs import configure_service_logging, start_failed
from shared.setting_docs import help_text
from shared.system.files import keep_files_private

# Grace period for requests in progress after a stop request.
_GRACE_SECONDS = 3
_LIMITS = ConnectionLimits()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; an unusable setting is one line and exit status 2."""
    _parser().parse_args(arguments)
    keep_files_private()
    try:
        settings = load_settings()
        configure_service_logging("console", settings)
        listener = _listener(settings)
        wired = wire(settings)
    except SettingsError as error:
        return start_failed("console", error)
    with listener:
        _serve(settings, wired, listener)
    return 0


def _serve(settings: ConsoleSettings, wired: WiredConsole, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    access = "open" if settings.reading_is_open else "needs a session: `understudy token console`"
    structlog.get_logger().info(
        "console_started", url=f"http://{settings.console_host}:{port}", reading=access
    )
    wired.sampler.start()
    config = server_config(wired.app, _LIMITS)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        # uvicorn raises the signal again after its shutdown
        pass
    finally:
        wired.close()


def server_config(app: ASGIApp, limits: ConnectionLimits) -> uvicorn.Config:
    """Uvicorn for the console, its connections within limits."""
    return uvicorn.Config(
        app,
        http=protocol_for(limits),
        h11_max_incomplete_event_size=limits.head_bytes,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _listener(settings: ConsoleSettings) -> socket.socket:
    """The socket, bound before anything else is made.

    Raises:
        SettingsError: the port is taken, or the address is not one of this machine.
    """
    host, port = settings.console_host, settings.console_port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_LIMITS.connections)
    except OSError as error:
        raise SettingsError(
            f"CONSOLE_PORT: cannot listen on {host}:{port} ({error.strerror or error}); "
            "set CONSOLE_PORT to a free port, or CONSOLE_HOST to an address of this machine"
        ) from error
    return listener


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="python -m console.main",
        description="Serve the console: pages that show what was decided and why.",
        epilog=help_text(ConsoleSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())
