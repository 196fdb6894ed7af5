"""A real server on its own port, in a thread of this process."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from api.app import ScoringApp, create_app
from api.service import Service
from api.serving import server_config, stack_of
from api.settings import Settings
from api.wiring import build_service
from native.catalogue import FAST_HTTP
from native.parts import Part
from shared.clock import SystemClock
from shared.keys.tokens import Role, read_token
from shared.usecase.serving import ServingUseCase
from tests.api.bundles import Signer
from tests.api.tiny import TinyUseCase


def serve_settings(folder: Path, **changes: Any) -> Settings:
    """Settings of one server; nothing outside its folder."""
    said: dict[str, Any] = {
        "database_url": SecretStr(f"sqlite:///{folder / 'understudy.db'}"),
        "keys_dir": folder / "keys",
        "prod_models_dir": folder / "prod_models",
        "journal_dir": folder / "journal",
        "run_dir": folder / "run",
        "journal_drain_seconds": 0.05,
        "journal_drain_in": "thread",
        "use_case": "tiny",
        # a nearly full disk of the machine that runs the tests is not what they are about
        "disk_reserve_bytes": 0,
    }
    return Settings.model_validate(said | changes)


def wait_until(what: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError("did not happen in time")
        time.sleep(0.01)


class Running:
    """`with Running(settings) as server: server.client.get(...)`."""

    def __init__(
        self,
        settings: Settings,
        use_case: ServingUseCase | None = None,
        service: Service | None = None,
        http: Part = FAST_HTTP,
    ) -> None:
        self.settings = settings
        self.service = service or build_service(settings, use_case or TinyUseCase(), SystemClock())
        self.app: ScoringApp = create_app(self.service)
        self._socket = socket.create_server(("127.0.0.1", 0))
        stack = stack_of(self.service, http)
        self._server = uvicorn.Server(server_config(self.app, settings, stack))
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name="server",
            daemon=True,
        )
        port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=20)

    def __enter__(self) -> "Running":
        self._thread.start()
        # the first one on a machine compiles the kernel
        wait_until(lambda: self._server.started or not self._thread.is_alive(), seconds=180)
        assert self._server.started
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()

    def connections(self) -> set[Any]:
        """Whoever is connected now."""
        return self._server.server_state.connections

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Begin to stop; leaving the context waits for the end."""
        self._server.should_exit = True

    def token(self, role: Role) -> str:
        return read_token(self.settings.keys_dir, role)

    def bearer(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role)}"}

    def score(self, **body: Any) -> httpx.Response:
        return self.client.post("/score", json=body)

    def push(self, raw: bytes, signer: Signer, **headers: str) -> httpx.Response:
        said = {
            **self.bearer(Role.PUSH),
            "Content-Type": "application/octet-stream",
            "X-Bundle-Signature": signer.sign(raw),
        }
        return self.client.post("/update_model", content=raw, headers=said | headers)

    def rollback(self, reason: str = "a test", **body: Any) -> httpx.Response:
        return self.client.post(
            "/rollback_model", json={"reason": reason, **body}, headers=self.bearer(Role.OPERATOR)
        )

    def drained(self) -> None:
        """Wait until the database has every decision and scoring knows it."""
        wait_until(lambda: self.service.journaling.journal.backlog == 0)
