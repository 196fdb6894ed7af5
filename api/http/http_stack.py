"""The HTTP stack of a process: the fast protocol, or the guarded one on public interfaces."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp

from api.http.bounds import Bounds
from api.http.connections import Connections
from api.http.fast_routes import FastRoutes
from api.http.guarded_app import GuardedApp
from api.http.guarded_protocol import guarded_for
from api.http.headers import no_version
from native.catalogue import FAST_HTTP
from native.parts import Part
from shared.host_names import Hosts


def _as_it_is(app: ASGIApp) -> ASGIApp:
    return app


@dataclass(frozen=True, slots=True)
class HttpStack:
    """The configuration of a server's HTTP stack.

    Attributes:
        protocol: uvicorn's option `http`.
        wrap: the middleware around the application.
        incomplete_bytes: uvicorn's option for the largest head.
    """

    protocol: type[asyncio.Protocol]
    pool: Connections
    wrap: Callable[[ASGIApp], ASGIApp] = _as_it_is
    incomplete_bytes: int | None = None


def http_stack(
    routes: FastRoutes,
    bounds: Bounds,
    hosts: Hosts | None = None,
    version: Callable[[], bytes] = no_version,
    part: Part = FAST_HTTP,
) -> HttpStack:
    """The fast one where uvicorn is known; `version` is what refusals say that serves."""
    if part.in_use:
        from api.http.fast_path import protocol_for  # noqa: PLC0415 - only what is checked

        fast = protocol_for(routes, bounds, hosts, version)
        return HttpStack(fast, fast.pool)
    guarded = guarded_for(bounds, hosts, version)
    return HttpStack(
        guarded,
        guarded.pool,
        partial(GuardedApp, protocol=guarded),
        bounds.head_bytes,
    )
