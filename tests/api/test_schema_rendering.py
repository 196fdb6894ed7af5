"""The text of /openapi.json: rendered for the first who asks, and never on the event loop."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import ScoringApp
from api.service import Service
from api.wiring import build_service
from shared.clock import SystemClock
from tests.api.server import serve_settings
from tests.api.tiny import TinyUseCase


class RenderedOnceTheLoopGoesOn(ScoringApp):
    """Its schema is ready only after the event loop has done something else meanwhile."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.loop_went_on = threading.Event()
        self.began = threading.Event()
        self.renderings = 0

    def openapi(self) -> dict[str, Any]:
        self.renderings += 1
        self.began.set()
        assert self.loop_went_on.wait(timeout=60)
        return {"openapi": "3.1.0"}


@pytest.fixture
def app(tmp_path: Path) -> RenderedOnceTheLoopGoesOn:
    settings = serve_settings(tmp_path)
    return RenderedOnceTheLoopGoesOn(build_service(settings, TinyUseCase(), SystemClock()))


def test_the_schema_is_rendered_once_beside_the_event_loop(app: RenderedOnceTheLoopGoesOn) -> None:
    assert app.renderings == 0

    async def ask_twice() -> list[bytes]:
        transport = httpx.ASGITransport(app=app.answer_schema)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asked = [asyncio.create_task(client.get("/openapi.json")) for _ in range(2)]
            await asyncio.to_thread(app.began.wait, 60)
            app.loop_went_on.set()
            return [(await one).content for one in asked]

    assert asyncio.run(ask_twice()) == [b'{"openapi":"3.1.0"}'] * 2
    assert app.renderings == 1
