"""The demo's own services: API and scheduler as processes, on free ports and a folder of theirs."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import httpx
from sqlalchemy import Engine

from api.settings import Settings
from scheduler.settings import SchedulerSettings
from shared.clock import isoformat
from shared.contracts.http import parse_contract
from shared.contracts.models import CurrentModel
from shared.errors import UnderstudyError
from shared.keys.store import KeyStore, sign
from shared.keys.tokens import Role, read_token
from shared.system.child_processes import (
    INSTALLATION,
    ChildProcess,
    module_command,
    start_child,
    stop_children,
)
from shared.tables.engine import connect, migrate
from shared.tables.runs import Run, get_run
from simulator.live import LiveRow
from understudy.rehearsal.service import free_port
from understudy.settings import CommandSettings

BATCH_ROWS = 100
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.2
Found = TypeVar("Found")

_SETTINGS = {
    "API_HOST": "127.0.0.1",
    "API_WORKERS": "1",
    "USE_CASE": "fraud",
    "LOG_FORMAT": "json",
    "DRIFT_INTERVAL": "off",
    "DRIFT_WINDOW_DAYS": "14",
    "ROLLOUT": "canary",
    "ROLLOUT_LOOK_SECONDS": "1",
    "ROLLOUT_STAGE_MINUTES": "0.05",
    "ROLLOUT_STAGE_REQUESTS": "40",
    "SERVED_WELL_SECONDS": "5",
    "SERVED_WELL_ROWS": "30",
    "SCORING_BUDGET_SECONDS": "0.01",
}
"""The smallest visible times: stages of three seconds and forty rows, checks when the demo asks."""


class DemoFailed(UnderstudyError):
    """Raised when something did not happen; says what, and has the end of the logs."""


class DemoServices:
    """`with DemoServices(folder) as services: ...`; nothing runs any more behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.variables = {"VAR_DIR": str(folder), "API_PORT": str(self.port), "API_URL": self.url}
        kinds = (Settings, SchedulerSettings, CommandSettings)
        known = {name.upper() for kind in kinds for name in kind.model_fields}
        # settings of this machine are left out: the demo shows the defaults
        kept = {name: value for name, value in os.environ.items() if name.upper() not in known}
        self.environment = {**kept, **_SETTINGS, **self.variables}
        folder.mkdir(parents=True, exist_ok=True)
        self.engine: Engine = connect(f"sqlite:///{folder / 'understudy.db'}")
        self._running: dict[str, ChildProcess] = {}
        self._client = httpx.Client(base_url=self.url, timeout=60)

    def __enter__(self) -> "DemoServices":
        migrate(self.engine)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        stop_children(list(self._running.values()), STOP_SECONDS)
        self._client.close()
        self.engine.dispose()

    def start(self, service: str, **settings: str) -> None:
        """Start `api` or `scheduler`; its log is `SERVICE.log` in the folder."""
        with (self.folder / f"{service}.log").open("ab") as log:
            self._running[service] = start_child(
                module_command(f"{service}.main"),
                folder=INSTALLATION,
                environment={**self.environment, **settings},
                stdout=log,
                stderr=log,
            )

    def stop(self, service: str) -> None:
        stop_children([self._running.pop(service)], STOP_SECONDS)

    def token(self, role: Role) -> str:
        return read_token(self.folder / "keys", role)

    def is_alive(self) -> bool:
        try:
            return self._client.get("/livez").is_success
        except httpx.HTTPError:
            return False

    def current(self) -> CurrentModel | None:
        answer = self._client.get("/current_model")
        if not answer.is_success:
            return None
        return parse_contract(CurrentModel, answer.content, "GET /current_model")

    def serving(self) -> str | None:
        """The live version, read from disk: a service with a slow version is slow to answer."""
        path = self.folder / "prod_models" / "current_version.txt"
        return path.read_text().strip() if path.exists() else None

    def score(self, rows: Sequence[LiveRow], name: str = "demo") -> tuple[int, int]:
        """Score rows in batches; how many were scored, and how many of them flagged."""
        scored = flagged = 0
        headers = {"Authorization": f"Bearer {self.token(Role.SCORER)}", "User-Agent": name}
        for start in range(0, len(rows), BATCH_ROWS):
            body = {"instances": [row.body for row in rows[start : start + BATCH_ROWS]]}
            answer = self._client.post("/predict/batch", json=body, headers=headers)
            if not answer.is_success:
                raise DemoFailed(f"POST /predict/batch: {answer.status_code} {answer.text[:500]}")
            good = [one for one in answer.json()["predictions"] if "probability" in one]
            scored += len(good)
            flagged += sum(one["is_fraud"] or one["review_required"] for one in good)
        return scored, flagged

    def score_one(self, row: LiveRow) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token(Role.SCORER)}"}
        return self._client.post("/predict", json=row.body, headers=headers)

    def label(self, rows: Sequence[LiveRow], known_at_us: int) -> None:
        """Tell what turned out to be true of rows, as known since then."""
        labels = [row.label | {"label_known_at": isoformat(known_at_us)} for row in rows]
        headers = {"Authorization": f"Bearer {self.token(Role.FEEDBACK)}"}
        for start in range(0, len(labels), 500):
            body = {"labels": labels[start : start + 500]}
            answer = self._client.post("/feedback", json=body, headers=headers)
            if not answer.is_success:
                raise DemoFailed(f"POST /feedback: {answer.status_code} {answer.text[:500]}")

    def force_retraining(self, person: str, reason: str) -> int:
        headers = {"Authorization": f"Bearer {self.token(Role.OPERATOR)}", "X-Person": person}
        path = "/api/mlops/force-retraining"
        answer = self._client.post(path, json={"reason": reason}, headers=headers)
        if not answer.is_success:
            raise DemoFailed(f"POST {path}: {answer.status_code} {answer.text[:500]}")
        return int(answer.json()["run_id"])

    def push(self, raw: bytes) -> None:
        """Push a signed bundle as a person with the key would; it is live at once."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Authorization": f"Bearer {self.token(Role.PUSH)}",
            "X-Bundle-Signature": sign(raw, KeyStore(self.folder / "keys").private_key()),
        }
        answer = self._client.post("/update_model", content=raw, headers=headers)
        if not answer.is_success:
            raise DemoFailed(f"POST /update_model: {answer.status_code} {answer.text[:500]}")

    def run(self, run_id: int) -> Run:
        found = get_run(self.engine, run_id)
        if found is None:
            raise DemoFailed(f"there is no run {run_id}")
        return found

    def wait_for(self, look: Callable[[], Found | None], seconds: float, otherwise: str) -> Found:
        """The result of `look`, as soon as there is one.

        Raises:
            DemoFailed: a service died, or time ran out.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = look()
            if found is not None:
                return found
            died = [name for name, child in self._running.items() if child.poll() is not None]
            if died or time.monotonic() > deadline:
                why = f"{' and '.join(died)} ended" if died else otherwise
                raise DemoFailed(f"{why}\n{self._log_ends()}")
            time.sleep(_POLL_SECONDS)

    def _log_ends(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-2_000:]}" for log in logs)
