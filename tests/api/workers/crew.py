"""A supervisor with real worker processes on a port and a separate folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from shared.keys.tokens import Role, read_token
from tests.api.bundles import Signer
from tests.api.server import wait_until

ROOT = Path(__file__).parents[3]


class Crew:
    """`with Crew(folder, 2) as crew: crew.client.get(...)`; every request is a new connection."""

    def __init__(self, folder: Path, workers: int, **environment: str) -> None:
        self.folder = folder
        self.environment = environment
        self.workers = workers
        self.log = folder / "crew.log"

    def __enter__(self) -> "Crew":
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.api.workers.tiny_crew", str(self.folder)],
                env={**os.environ, "PYTHONPATH": str(ROOT), "API_WORKERS": str(self.workers),
                     **self.environment},
                cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.client = httpx.Client(
            base_url=self._url(), timeout=90, headers={"Connection": "close"}
        )
        try:
            wait_until(lambda: len(self.states()) == self.workers, 30)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """SIGTERM to the supervisor; its exit status."""
        self._process.terminate()
        return self._process.wait(20)

    def states(self) -> dict[int, dict[str, Any]]:
        """What each worker tells of itself, if it lives."""
        found = {}
        for path in (self.folder / "run").glob("state-*.json"):
            told = json.loads(path.read_bytes())
            if lives(told["pid"]):
                found[int(path.stem.partition("-")[2])] = told
        return found

    def kill(self, number: int) -> int:
        """SIGKILL to a worker; its process id."""
        pid: int = self.states()[number]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not lives(pid))
        return pid

    def served(self) -> set[str]:
        return {told["version"] for told in self.states().values()}

    def events(self, name: str) -> list[Mapping[str, Any]]:
        lines = self.log.read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in told if line["event"] == name]

    def push(self, raw: bytes, signer: Signer) -> httpx.Response:
        headers = self._bearer(Role.PUSH) | {
            "Content-Type": "application/octet-stream",
            "X-Bundle-Signature": signer.sign(raw),
        }
        return self.client.post("/update_model", content=raw, headers=headers)

    def rollback(self, **body: Any) -> httpx.Response:
        headers = self._bearer(Role.OPERATOR)
        return self.client.post("/rollback_model", json={"reason": "a test", **body},
                                headers=headers)  # fmt: skip

    def _bearer(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {read_token(self.folder / 'keys', role)}"}

    def _url(self) -> str:
        wait_until(lambda: bool(self.events("port_bound")) or self._process.poll() is not None, 20)
        return f"http://127.0.0.1:{self.events('port_bound')[0]['port']}"


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
