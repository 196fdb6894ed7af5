"""A console over files and a database of its own, and an API that is a fake."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, insert

from console.settings import ConsoleSettings
from console.wiring import WiredConsole, wire
from shared.clock import SystemClock, isoformat
from shared.keys.tokens import Role, read_token
from shared.tables.engine import connect, migrate
from shared.tables.schema import model_training_runs

OWN = "http://testserver"
OPERATOR_TOKEN = "o" * 43

CURRENT: dict[str, Any] = {
    "version": "1.0.1", "fallback": "1.0.0", "newest_accepted": "1.0.1",
    "activated_at": "2026-11-20T03:00:00.000000Z", "sha256": "a" * 64,
    "created_at": "2026-11-20T02:59:00Z", "description": "as it is", "components": ["classifier"],
    "feature_set_version": "f1", "feature_names": ["amount"], "thresholds": {"review": 0.5},
    "metrics": {"average_precision": 0.7}, "training_data": {"rows": 10}, "parent_version": "1.0.0",
    "frameworks": {}, "rollout": None, "last_rollout": None,
}  # fmt: skip
MODELS: dict[str, Any] = {
    "models": [
        {
            "version": version, "state": state, "accepted_at": "2026-11-13T03:00:00Z",
            "last_activated_at": "2026-11-13T03:00:00Z", "rolled_back_at": None,
            "rolled_back_reason": None, "revoked_at": None, "revoked_reason": None,
            "sha256": "a" * 64, "signed_by": "key1", "parent_version": None, "size_bytes": 10,
            "metrics": {"average_precision": 0.6},
        }
        for version, state in (("1.0.1", "serving"), ("1.0.0", "fallback"))
    ]
}  # fmt: skip
HEALTH: dict[str, Any] = {
    "status": "ok",
    "components": {"model": {"state": "ok", "detail": "1.0.1 serves", "figures": {}}},
}


@dataclass
class FakeApi:
    """Answers what it was told to; keeps the requests. Away while `is_away`."""

    answers: dict[str, Any] = field(
        default_factory=lambda: {
            "/current_model": CURRENT,
            "/api/health": HEALTH,
            "/models": MODELS,
            "/metrics": "",
        }
    )
    is_away: bool = False
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.is_away:
            raise httpx.ConnectError("away", request=request)
        answer = self.answers.get(request.url.path)
        if request.method == "POST":
            return self._changed(request, answer)
        if answer is None:
            return httpx.Response(404, json={"detail": "not here"})
        if isinstance(answer, str):
            return httpx.Response(200, text=answer)
        return httpx.Response(200, json=answer)

    def _changed(self, request: httpx.Request, answer: Any) -> httpx.Response:
        if request.headers.get("Authorization") != f"Bearer {OPERATOR_TOKEN}":
            return _problem(401, "no-credentials", "send the operator token")
        if answer is None:
            return _problem(409, "version-conflict", "there is nothing to do")
        return httpx.Response(200, json=answer)

    @property
    def changes(self) -> list[httpx.Request]:
        return [request for request in self.requests if request.method == "POST"]


def _problem(status: int, code: str, detail: str) -> httpx.Response:
    body = {"type": f"urn:understudy:problem:{code}", "title": code, "status": status}
    return httpx.Response(status, content=json.dumps({**body, "detail": detail}).encode())


class Browser:
    """Sends requests to the application without a network; keeps cookies."""

    def __init__(self, app: Any, runner: asyncio.Runner, headers: Mapping[str, str]) -> None:
        self._runner = runner
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=OWN, headers=headers)

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@dataclass
class Bench:
    """A console, its browser, and what lies behind it."""

    folder: Path
    settings: ConsoleSettings
    wired: WiredConsole
    api: FakeApi
    engine: Engine
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def browser(self, **headers: str) -> Browser:
        """A browser that comes from a page of the console itself."""
        own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
        return Browser(self.wired.app, self.runner, {**own, **headers})

    @property
    def token(self) -> str:
        return read_token(self.settings.keys_dir, Role.CONSOLE)

    def add_run(self, **columns: Any) -> int:
        """A row of ModelTrainingRuns."""
        now = isoformat(SystemClock().now_us())
        row = {
            "rundate": now, "jobname": "retraining", "scheduledfor": now, "status": "REFUSED",
            "statuscode": "metrics_fail", "statusmessage": "worse", "requestedby": "schedule",
            "startedat": now, "finishedat": now, **columns,
        }  # fmt: skip
        with self.engine.begin() as connection:
            added: int = connection.execute(
                insert(model_training_runs).values(row).returning(model_training_runs.c.runid)
            ).scalar_one()
        return added

    def close(self) -> None:
        self.runner.close()
        self.wired.close()
        self.engine.dispose()


@cache
def _migrated() -> Path:
    """A database with its tables, made once: Alembic takes half a second."""
    path = Path(tempfile.mkdtemp()) / "migrated.db"
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


def make_bench(folder: Path, **changes: Any) -> Bench:
    """A bench below a folder; `changes` are settings."""
    url = f"sqlite:///{folder / 'rows.db'}"
    shutil.copyfile(_migrated(), folder / "rows.db")
    engine = connect(url)
    (folder / "registry").mkdir(exist_ok=True)
    given: Mapping[str, Any] = {
        "database_url": url, "keys_dir": folder / "keys", "prod_models_dir": folder / "registry",
        "retrained_models_dir": folder / "candidates", "drift_reports_dir": folder / "drift",
        "replay_dir": folder / "replays",
        "console_allowed_hosts": "testserver", "scheduler_metrics_url": None, **changes,
    }  # fmt: skip
    settings = ConsoleSettings(**given)
    api = FakeApi()
    answering: Callable[[httpx.Request], httpx.Response] = api
    wired = wire(settings, transport=httpx.MockTransport(answering))
    return Bench(folder, settings, wired, api, engine)


def form_token(page: str) -> str:
    """The token of the first form of a page."""
    return page.partition('name="form_token" value="')[2].partition('"')[0]
