"""A scoring service of its own, in a temporary folder and on a free port."""

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from api.settings import Settings
from shared.errors import UnderstudyError
from shared.keys.store import KeyStore, sign
from shared.keys.tokens import Role, read_token
from shared.system.child_processes import INSTALLATION, module_command, start_child, stop_child
from understudy.rehearsal.models import FAILING_AMOUNT

# A first start compiles kernels, which takes twenty seconds of processor time or more.
_START_SECONDS = 240.0
_STOP_SECONDS = 15.0


class RehearsalFailed(UnderstudyError):
    """Raised when a rehearsal could not be carried out; says where to look."""


def has_served_well(folder: Path) -> bool:
    """True once a rollback may return to the version that serves from this folder."""
    ledger = json.loads((folder / "prod_models" / "ledger.json").read_text())
    return ledger["activations"][-1]["served_well_at_us"] is not None


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class RehearsalService:
    """`with RehearsalService(folder, ...) as service: ...`; the API as a process."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ours = {
            "VAR_DIR": str(folder / "var"),
            "PROD_MODELS_DIR": str(folder / "prod_models"),
            "DATABASE_URL": f"sqlite:///{folder / 'understudy.db'}",
            "KEYS_DIR": str(folder / "keys"),
            "JOURNAL_DIR": str(folder / "journal"),
            "RUN_DIR": str(folder / "run"),
            "API_HOST": "127.0.0.1",
            "API_PORT": str(self.port),
            "API_WORKERS": "1",
            "USE_CASE": "fraud",
            "SCORING_AUTH": "off",
            "OPEN_SCORING_REACH": "loopback",
            "LOG_FORMAT": "json",
        }
        # settings of this machine are left out: the rehearsal uses the defaults
        known = {name.upper() for name in Settings.model_fields}
        kept = {name: value for name, value in os.environ.items() if name.upper() not in known}
        self._environment = {**kept, **ours, **settings}

    def __enter__(self) -> "RehearsalService":
        with (self.folder / "api.log").open("wb") as log:
            self._process = start_child(
                module_command("api.main"),
                folder=INSTALLATION,
                environment=self._environment,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait_for(self._is_alive, _START_SECONDS, "the service did not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        stop_child(self._process, _STOP_SECONDS)

    def token(self, role: Role) -> str:
        return read_token(self.folder / "keys", role)

    def push(self, raw: bytes) -> None:
        """Push a bundle as the scheduler would."""
        store = KeyStore(self.folder / "keys")
        store.ensure_signing_key()
        headers = {
            "Content-Type": "application/octet-stream",
            "Authorization": f"Bearer {self.token(Role.PUSH)}",
            "X-Bundle-Signature": sign(raw, store.private_key()),
        }
        answer = httpx.post(f"{self.url}/update_model", content=raw, headers=headers, timeout=90)
        if not answer.is_success:
            raise RehearsalFailed(f"the service refused a bundle: {answer.text[:500]}")

    def alert(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer of /alert to a notification."""
        headers = {"Authorization": f"Bearer {self.token(Role.ALERT)}"}
        answer = httpx.post(f"{self.url}/alert", json=payload, headers=headers, timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def serving(self) -> str:
        """Read from disk: a service that a bad version holds up is slow to answer."""
        path = self.folder / "prod_models" / "current_version.txt"
        return path.read_text().strip() if path.exists() else "none"

    def served_well(self) -> bool:
        return has_served_well(self.folder)

    def last_rollback(self, left: str) -> str:
        """The author and reason of this version's rollback, from the audit trail."""
        lines = (self.folder / "prod_models" / "audit.jsonl").read_text().splitlines()
        found = [line for line in map(json.loads, lines) if line.get("previous") == left]
        return f"{found[-1]['who']}: {found[-1]['why']}" if found else "no rollback"

    def wait_for(self, is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait until it is so.

        Raises:
            RehearsalFailed: it was not so in time, or the service died; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not is_so():
            died = self._process.poll() is not None
            if died or time.monotonic() > deadline:
                log = (self.folder / "api.log").read_text(errors="replace")[-2_000:]
                raise RehearsalFailed(f"{'the service died' if died else otherwise}:\n{log}")
            time.sleep(0.1)

    def _is_alive(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez", timeout=2).is_success
        except httpx.HTTPError:
            return False


class RehearsalTraffic:
    """Requests at fixed instants; every third is one that a failing version fails on.

    Attributes:
        slow_since: when the first answer took longer than `slow_seconds`, `time.monotonic`.
        failed: answers that were no 200.
    """

    def __init__(self, port: int, per_second: float, slow_seconds: float) -> None:
        self._port = port
        self._pause = 1 / per_second
        self._slow_seconds = slow_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.watching = False
        self.slow_since: float | None = None
        self.answered = 0
        self.failed = 0
        self.slowest = 0.0

    def __enter__(self) -> "RehearsalTraffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(30)

    def watch(self) -> None:
        """Starts to look for the first slow answer."""
        self.slowest, self.watching = 0.0, True

    def _run(self) -> None:
        number, due = 0, time.monotonic()
        while not self._done.wait(max(0.0, due - time.monotonic())):
            self._ask(number)
            number, due = number + 1, max(due + self._pause, time.monotonic() - 1)

    def _ask(self, number: int) -> None:
        amount = FAILING_AMOUNT if number % 3 == 0 else 20.0
        body = {"amount": amount, "user_id": f"u{number % 50}", "transaction_id": f"t{number}"}
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        began = time.monotonic()
        try:
            link.request("POST", "/predict", json.dumps(body), {"Content-Type": "application/json"})
            answer = link.getresponse()
            answer.read()
            self.answered += 1
            self.failed += answer.status != 200
        except (OSError, http.client.HTTPException):
            self.failed += 1
        finally:
            link.close()
        seconds = time.monotonic() - began
        self.slowest = max(self.slowest, seconds)
        if self.watching and self.slow_since is None and seconds > self._slow_seconds:
            self.slow_since = began
