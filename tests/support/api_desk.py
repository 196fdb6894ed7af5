"""A desk that takes rows and answers them, without a server."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from api.http.callers import anonymous
from api.scoring.batching import MicroBatcher, RowRoute
from api.scoring.requests import RowParser
from shared.keys.tokens import Role
from tests.api.server import Running

ANYBODY = anonymous(Role.SCORER, is_trusted=True)


@dataclass
class FakeCaller:
    """Keeps what it is told."""

    status: int = 0
    headers: bytes = b""
    body: dict[str, Any] = field(default_factory=dict)
    traceparent: bytes | None = None

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, orjson.loads(body)


@dataclass
class Desk:
    """Asks a service for many rows in one tick."""

    server: Running

    def ask(self, *rows: dict[str, Any], path: str = "/score") -> list[FakeCaller]:
        service = self.server.service
        (route,) = [route for route in service.use_case.routes if route.path == path]
        parse = RowParser(service.use_case.request_model)
        row_route = RowRoute(route, parse, service.metrics.route(path))
        callers = [FakeCaller() for _ in rows]

        async def tick() -> None:
            batcher = MicroBatcher(
                service.scoring.pipeline, service.models.slot, service.scoring.lane
            )
            for row, recipient in zip(rows, callers, strict=True):
                batcher.add(orjson.dumps(row), row_route, ANYBODY, recipient)
            # each turn takes a part of them
            for _ in range(len(rows)):
                await asyncio.sleep(0)

        asyncio.run(tick())
        return callers
