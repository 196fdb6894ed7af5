"""The FastAPI application with every route, and the layer that all answers pass through."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.auth import security
from api.http.docs_page import add_docs_page, add_front_page, add_shared_responses
from api.http.errors import add_handlers
from api.http.layers import AnswerLayer, OriginGuard, RequestContext, TracingLayer
from api.http.threads import FairTurns, RouteThreads
from api.routes.alerts import add_alert_routes
from api.routes.approvals import add_approval_routes
from api.routes.audit import add_audit_route, add_decision_route
from api.routes.changes import add_change_routes, add_revocation_route, add_rollout_routes
from api.routes.feedback import add_feedback_routes
from api.routes.health import add_health_routes
from api.routes.models import add_bundle_route, add_model_routes
from api.routes.retraining import add_retraining_routes
from api.scoring.docs import RawRoute
from api.scoring.routes import add_scoring_routes
from api.service import Service, start, stop
from api.workers.peers.operations import operations
from shared.contracts.http import ProblemBody
from shared.errors import SettingsError
from shared.keys.tokens import Role
from shared.version import VERSION

_DESCRIPTION = (
    "Scores rows with the version that was promoted last. Every answer names that version in "
    "`X-Model-Version`; every error is `application/problem+json` with a stable `type`."
)

# One piece of work for the thread is about 0.1 s of rows: a model that takes this long hangs.
_LONG_PIECE_SECONDS = 2.0
# How long the thread that renders the schema keeps the interpreter lock while the loop wants it.
_BRIEF_TURN_SECONDS = 0.0005


class ScoringApp(FastAPI):
    """FastAPI with raw routes: scoring addresses go straight to their callables.

    The router would find the same callables behind middleware and a search by pattern.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(
            title="Understudy scoring API",
            version=VERSION,
            description=_DESCRIPTION,
            lifespan=lambda _: _running(self),
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self.service = service
        self.state.threads = RouteThreads()
        self.raw_routes: dict[str, ASGIApp] = {}
        # The invalid setting that keeps the service from starting, if any.
        self.refusal: str | None = None
        # Constant responses, by path: served before the router.
        self.made_once: dict[str, ASGIApp] = {}
        self._schema_text = b""
        self._schema_lock = asyncio.Lock()
        self._turns = FairTurns()
        self._layer = AnswerLayer(self._answer, service.models.slot, service.metrics)
        self._entry: ASGIApp = self._dispatch
        origins = [name.strip() for name in service.settings.cors_origins.split(",") if name]
        if origins:
            self._entry = _with_origins(self._dispatch, origins)
        guard = OriginGuard(self._entry, origins, service.models.slot, service.metrics)
        self._entry = RequestContext(TracingLayer(guard, service.tracing.requests))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._turns.wait()
            await self._entry(scope, receive, send)
        else:
            await super().__call__(scope, receive, self._plainly(send))

    def _plainly(self, send: Send) -> Send:
        """A setting that cannot be used is reported in one line, without a traceback."""

        async def tell(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "lifespan.startup.failed" and self.refusal is not None:
                message["message"] = self.refusal
            await send(message)

        return tell

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = self.raw_routes.get(scope["path"])
        if raw is not None and scope["method"] == "POST":
            scope["raw_route"] = True
            await raw(scope, receive, send)
        else:
            await self._layer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        made = self.made_once.get(scope["path"])
        if made is not None and scope["method"] == "GET":
            await made(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The schema, with what problems look like and which credentials there are."""
        if self.openapi_schema is None:
            schema = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
            )
            parts = schema.setdefault("components", {})
            parts.setdefault("schemas", {}).update(_problem_schemas())
            parts["securitySchemes"] = _security_schemes()
            add_shared_responses(schema)
            self.openapi_schema = schema
        return self.openapi_schema

    def _rendered_schema(self) -> bytes:
        """Runs beside the event loop, which waits for the interpreter lock rarely and briefly."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_BRIEF_TURN_SECONDS)
        try:
            return orjson.dumps(self.openapi())
        finally:
            sys.setswitchinterval(usual)

    async def answer_schema(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replaces FastAPI's own route, which renders 100 kB of JSON for each request.

        Rendered for the first who asks, in a thread: it takes half a second of a processor, which
        neither a start nor the event loop spends on it.
        """
        async with self._schema_lock:
            if not self._schema_text:
                self._schema_text = await asyncio.to_thread(self._rendered_schema)
        await Response(self._schema_text, media_type="application/json")(scope, receive, send)


def create_app(service: Service) -> ScoringApp:
    """All routes over the given parts; starts nothing."""
    app = ScoringApp(service)
    add_handlers(app)
    add_scoring_routes(app, service)
    add_feedback_routes(app, service)
    add_model_routes(app, service)
    add_change_routes(app, service)
    add_bundle_route(app, service)
    add_decision_route(app, service)
    add_audit_route(app, service)
    add_rollout_routes(app, service)
    add_approval_routes(app, service)
    add_revocation_route(app, service)
    add_alert_routes(app, service)
    add_retraining_routes(app, service)
    add_health_routes(app, service)
    app.made_once[app.openapi_url or ""] = app.answer_schema
    add_docs_page(app)
    add_front_page(app, service.settings.console_url)
    app.raw_routes = {route.path: route.app for route in app.routes if isinstance(route, RawRoute)}
    return app


@asynccontextmanager
async def _running(app: ScoringApp) -> AsyncIterator[None]:
    service = app.service
    try:
        await asyncio.to_thread(start, service)
    except SettingsError as error:
        app.refusal = str(error)
        raise
    loop = asyncio.get_running_loop()

    def through_loop(work: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(service.scoring.lane.post_history, work)

    def on_loop(send: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(send)

    service.scoring.dispatcher.use(through_loop)
    service.scoring.pending.answering.use(on_loop)
    service.workers.heartbeat.begin(
        loop, lambda: service.scoring.lane.seconds_at_work < _LONG_PIECE_SECONDS
    )
    try:
        if service.workers.peers is not None:
            await service.workers.peers.open(operations(service))
        yield
    finally:
        if service.workers.peers is not None:
            await service.workers.peers.close()
        await asyncio.to_thread(service.scoring.lane.close)
        service.scoring.dispatcher.use(None)
        service.scoring.pending.answering.use(None)
        app.state.threads.stop()
        await asyncio.to_thread(stop, service)


def _with_origins(app: ASGIApp, origins: list[str]) -> ASGIApp:
    """Let pages of these origins read answers; tokens go in a header, so no cookies are needed."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["X-Model-Version", "Retry-After"],
    )


def _problem_schemas() -> dict[str, Any]:
    schema = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    parts: dict[str, Any] = schema.pop("$defs", {})
    return {**parts, "ProblemBody": schema}


def _security_schemes() -> dict[str, Any]:
    bearer = {
        str(role): {"type": "http", "scheme": "bearer", "description": f"`understudy token {role}`"}
        for role in Role
        if role is not Role.TRIGGER
    }
    basic = {"type": "http", "scheme": "basic", "description": "`understudy token trigger`"}
    return {**bearer, next(iter(security(Role.TRIGGER)["security"][0])): basic}
