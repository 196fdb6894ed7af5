"""Thread pools by the purpose of a route, and fair turns of the event loop.

Callers that fill one pool do not delay the others.

The framework has forty threads for all routes together. Callers who wait for a database took
them all, and an operator's rollback stood in line behind them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from enum import StrEnum
from functools import partial, wraps
from inspect import iscoroutinefunction, signature
from typing import Any

from shared.keys.tokens import Role


class Purpose(StrEnum):
    """The purpose of a route, which selects its thread pool."""

    OPERATORS = "operators"
    HEALTH = "health"
    READING = "reading"
    LABELS = "labels"


# The sum stays below the size of the database's connection pool (shared.tables.engine).
THREADS: Mapping[Purpose, int] = {
    Purpose.OPERATORS: 6,
    Purpose.HEALTH: 2,
    Purpose.READING: 3,
    Purpose.LABELS: 2,
}
_BY_ROLE = {None: Purpose.HEALTH, Role.READ: Purpose.READING, Role.FEEDBACK: Purpose.LABELS}


def purpose_of(role: Role | None) -> Purpose:
    """The purpose of a role's routes; those that change the live version are for operators."""
    return _BY_ROLE.get(role, Purpose.OPERATORS)


class RouteThreads:
    """A small pool for each purpose, whose threads start when they are needed."""

    def __init__(self) -> None:
        self._pools = {
            purpose: ThreadPoolExecutor(count, thread_name_prefix=purpose)
            for purpose, count in THREADS.items()
        }

    def of(self, purpose: Purpose, endpoint: Callable[..., Any]) -> Callable[..., Any]:
        """The endpoint, on threads of this purpose; one that never waits stays as it is."""
        if iscoroutinefunction(endpoint):
            return endpoint
        pool = self._pools[purpose]

        @wraps(endpoint)
        async def on_a_thread(*args: Any, **said: Any) -> Any:
            work = partial(copy_context().run, partial(endpoint, *args, **said))
            return await asyncio.get_running_loop().run_in_executor(pool, work)

        # FastAPI follows __wrapped__ and would run the endpoint as a blocking one.
        del on_a_thread.__wrapped__
        on_a_thread.__signature__ = signature(endpoint)  # type: ignore[attr-defined]
        return on_a_thread

    def stop(self) -> None:
        """End the threads that have nothing to do; work that waits is not begun."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


# About two milliseconds of ordinary responses.
_PER_TURN = 8


class FairTurns:
    """Admits a bounded number of requests in each iteration of the running event loop."""

    def __init__(self, per_turn: int = _PER_TURN) -> None:
        self._per_turn = per_turn
        self._left = per_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_next_asked = False

    async def wait(self) -> None:
        """Return in the first turn that has room, in order of arrival."""
        loop = asyncio.get_running_loop()
        if not self._is_next_asked:
            self._is_next_asked = True
            loop.call_soon(self._begin, loop)
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """A new turn: those who wait come first."""
        self._left = self._per_turn
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        self._is_next_asked = bool(self._waiting)
        if self._is_next_asked:
            loop.call_soon(self._begin, loop)
