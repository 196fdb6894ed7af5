"""The composition root: settings, parts, server."""

import sys

import structlog
import uvicorn

import usecases
from api.app import create_app
from api.settings import Settings, load_settings
from api.wiring import build_service
from shared.clock import SystemClock
from shared.errors import SettingsError
from shared.logs import configure_logging

_log = structlog.get_logger()
# Requests under way get this long; then the journal is drained.
_GRACE_SECONDS = 5


def main() -> int:
    """Serve until told to stop; a setting that cannot be used ends it with one line."""
    try:
        settings = load_settings()
        configure_logging("api", settings.log_level, settings.log_format, settings.log_file)
        serve(settings)
    except SettingsError as error:
        print(f"api: {error}", file=sys.stderr)  # noqa: T201 - before or instead of the log
        return 2
    return 0


def serve(settings: Settings) -> None:
    """Run the server in this process.

    Raises:
        SettingsError: a setting names something that cannot be used.
    """
    use_case = usecases.load_serving(settings.use_case)
    app = create_app(build_service(settings, use_case, SystemClock()))
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
    uvicorn.Server(config).run()


if __name__ == "__main__":
    sys.exit(main())
