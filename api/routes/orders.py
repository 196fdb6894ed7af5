"""An operator's order: when it came and what served then, so that a stale one is not carried out.

An order that waited, behind a slow model or in a queue, may be carried out after somebody has
already put things right, and would put the bad version back.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from api.http.problems import ORDER_EXPIRED, Problem
from api.service import Service
from shared.clock import isoformat, to_micros

# Longer than any order takes, and shorter than it takes a person to do something else about it.
MAX_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Order:
    """When it was received, and which version `current_version.txt` named then."""

    received: float
    pointer: str | None

    def check(self, not_after: datetime | None, now_us: int) -> None:
        """Raises Problem when it is too late to carry it out."""
        waited = time.monotonic() - self.received
        if waited > MAX_WAIT_SECONDS:
            raise Problem(
                ORDER_EXPIRED,
                f"it waited {waited:.1f} s, {MAX_WAIT_SECONDS:g} s at most; ask again",
            )
        if not_after is not None and now_us > to_micros(not_after):
            raise Problem(ORDER_EXPIRED, f"not_after is over: it is {isoformat(now_us)}")


def received(service: Service) -> Callable[[Request], Awaitable[Order]]:
    """A dependency of routes that change what is served; runs before the order waits."""

    async def order(request: Request) -> Order:
        if await request.is_disconnected():
            raise Problem(ORDER_EXPIRED, "the caller has gone")
        return Order(time.monotonic(), service.models.registry.current())

    return order
