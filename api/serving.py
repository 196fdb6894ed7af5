"""One serving process: its parts, its server, its graceful shutdown."""

import faulthandler
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

import usecases
from api.app import create_app
from api.http.connections import Bounds, ConnectionMetrics, connections_possible
from api.http.fast_routes import FastRoutes
from api.http.headers import no_version
from api.http.http_stack import HttpStack, http_stack
from api.scoring.routes import fast_routes
from api.service import Service
from api.settings import Settings
from api.wiring import build_service
from api.workers.worker_context import WorkerContext
from native.catalogue import FAST_HTTP
from native.linux import keep_small, release_startup_pages
from native.parts import Part
from shared.clock import SystemClock
from shared.host_names import Hosts

# Grace period for requests in progress; then the journal is drained.
_GRACE_SECONDS = 5
NOT_STARTED = 3


def serve(settings: Settings, context: WorkerContext) -> None:
    """Build the service and run it in this process.

    Raises:
        SettingsError: a setting names something that cannot be used.
    """
    # Writes the Python stack to the log on a native crash.
    faulthandler.enable()
    keep_small()
    use_case = usecases.load_serving(settings.use_case)
    service = build_service(settings, use_case, SystemClock(), context=context)
    run(create_app(service), settings, context.listener, stack_of(service))


def stack_of(service: Service, part: Part = FAST_HTTP) -> HttpStack:
    """The HTTP stack of this service; its connections are among its metrics."""
    settings, models = service.settings, service.models.slot
    made = _stack(settings, fast_routes(service), lambda: models.version_header, part)
    service.metrics.registry.register(ConnectionMetrics(made.pool))
    service.metrics.watch(
        "anonymous_writes_refused",
        "1 while rows of callers without a token are refused, for their rate or a full disk",
        lambda: service.access.write_quota.is_spent,
    )
    return made


def _stack(
    settings: Settings,
    routes: FastRoutes,
    version: Callable[[], bytes] = no_version,
    part: Part = FAST_HTTP,
) -> HttpStack:
    bounds = Bounds(connections=connections_possible(settings.max_connections))
    hosts = Hosts(f"{settings.allowed_hosts},{_own_name(settings)}")
    return http_stack(routes, bounds, hosts, version, part)


def _own_name(settings: Settings) -> str:
    """The host name the service listens on; an address needs no entry."""
    return "" if ":" in settings.api_host else settings.api_host


def run(
    app: ASGIApp,
    settings: Settings,
    listener: socket.socket | None = None,
    stack: HttpStack | None = None,
) -> None:
    """Serve an application until SIGTERM or SIGINT, which is a graceful end and not a failure."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again after its shutdown; handled here.
        signal.signal(number, _end)
    server = _Server(server_config(app, settings, stack or _stack(settings, FastRoutes())))
    server.run(sockets=None if listener is None else [listener])
    if not server.started:
        sys.exit(NOT_STARTED)


def server_config(app: ASGIApp, settings: Settings, stack: HttpStack) -> uvicorn.Config:
    """Uvicorn over this HTTP stack."""
    return uvicorn.Config(
        stack.wrap(app),
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http=stack.protocol,
        h11_max_incomplete_event_size=stack.incomplete_bytes,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        # X-Forwarded-For is ignored: with it a caller could evade the limits for each address
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """Releases start-up memory before the first request."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        release_startup_pages()


def _end(_number: int, _frame: object) -> None:
    sys.exit(0)
