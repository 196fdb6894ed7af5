"""Scoring over raw ASGI: no router, no request object, no response object in between.

The same callables are the `.app` of FastAPI routes, so the docs show them like any other.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

from starlette.types import Receive, Scope, Send

from api.http.access import WriteQuota
from api.http.auth import Authenticator
from api.http.bodies import ClientGone, read_body, require_json
from api.http.callers import Caller
from api.http.errors import as_problem
from api.http.headers import problem_headers
from api.models.model_slot import ModelSlot
from api.row_metrics import RouteMetrics
from api.scoring.stages import EncodedReply
from shared.keys.tokens import Role

RequestWork = Callable[[bytes, Caller], EncodedReply]


class PacedRequestWork(ABC):
    """Work that can be done on the event loop without holding it for long."""

    @abstractmethod
    def __call__(self, body: bytes, caller: Caller) -> EncodedReply: ...

    @abstractmethod
    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        """The same, with returns to the loop where it takes long."""


class Execution(Protocol):
    """Runs the synchronous work of one request."""

    def __call__(
        self, work: RequestWork, body: bytes, caller: Caller
    ) -> Awaitable[EncodedReply]: ...


async def inline(work: RequestWork, body: bytes, caller: Caller) -> EncodedReply:
    """Runs on the event loop: for sources that answer in microseconds."""
    if isinstance(work, PacedRequestWork):
        return await work.paced(body, caller)
    return work(body, caller)


def in_threads(executor: Executor) -> Execution:
    """Runs in a thread pool: for sources that wait for a network."""

    async def run(work: RequestWork, body: bytes, caller: Caller) -> EncodedReply:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, partial(work, body, caller))

    return run


Option = Callable[[bytes], tuple[RequestWork, Execution] | None]
"""Turns a query string into a kind of request; None if it asks for nothing special.

Raises Problem where it asks for what there is not.
"""


class ScoringEndpoint:
    """One POST address: credentials, body, work, answer; every failure is a problem."""

    def __init__(
        self,
        *,
        work: RequestWork,
        execution: Execution,
        limit_bytes: int,
        authenticator: Authenticator,
        quota: WriteQuota,
        models: ModelSlot,
        metrics: RouteMetrics,
        option: Option,
    ) -> None:
        self._option = option
        self._work = work
        self._execution = execution
        self._limit_bytes = limit_bytes
        self._authenticator = authenticator
        self._quota = quota
        self._models = models
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        try:
            reply = await self._reply(scope, receive)
            status, payload, headers = reply.status, reply.body, reply.headers()
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - becomes a logged 500
            problem = as_problem(error, scope["path"])
            status, payload = problem.kind.status, problem.render()
            headers = problem_headers(problem, self._models.version_header)
        headers.append((b"content-length", str(len(payload)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})
        self._metrics.answered(status, time.perf_counter() - started)

    async def _reply(self, scope: Scope, receive: Receive) -> EncodedReply:
        caller = self._authenticator.admit(scope, Role.SCORER)
        require_json(scope)
        other = self._option(scope["query_string"]) if scope["query_string"] else None
        work, execution = other or (self._work, self._execution)
        if caller.is_anonymous:
            self._quota.check()
        body = await read_body(scope, receive, self._limit_bytes)
        if caller.is_anonymous:
            self._quota.charge(body)
        return await execution(work, body, caller)
