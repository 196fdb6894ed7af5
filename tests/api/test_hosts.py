"""API processes with nothing in common but a store: separate directories and databases."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.keys.tokens import Role, read_token
from tests.api.bundles import Signer
from tests.api.server import wait_until
from tests.hosts.world import away
from tests.support.api_processes import start
from tests.support.seaweedfs import S3Server, s3_server

__all__ = ["s3_server"]
# the same without processes, in seconds: tests/api/test_shared_registry.py
pytestmark = pytest.mark.slow
# Far above the three seconds that it takes on a quiet machine.
PATIENCE_SECONDS = 90


@dataclass
class ApiHost:
    """One process."""

    name: str
    folder: Path
    process: subprocess.Popen[str]
    client: httpx.Client

    @property
    def version(self) -> str | None:
        answer = self.client.get("/current_model")
        return str(answer.json()["version"]) if answer.status_code == 200 else None

    def bearer(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {read_token(self.folder / 'keys', role)}"}

    def push(self, raw: bytes, signer: Signer) -> httpx.Response:
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {**self.bearer(Role.PUSH), "X-Bundle-Signature": signer.sign(raw)}
        return self.client.post("/update_model", content=raw, headers=headers)

    def order(self, path: str, **body: Any) -> httpx.Response:
        said = {"reason": "a test", **body}
        return self.client.post(path, json=said, headers=self.bearer(Role.OPERATOR))

    def serves(self, version: str) -> None:
        """Wait until it does, and scores with it."""
        wait_until(lambda: self.version == version, PATIENCE_SECONDS)
        answer = self.client.post("/score", json={"amount": 3.0})
        assert answer.json()["version"] == version


@dataclass
class Hosts:
    """All processes around one store.

    Attributes:
        away: the store does not answer while this context is open.
    """

    template: Path
    folder: Path
    settings: dict[str, Any]
    away: Callable[[], AbstractContextManager[None]]
    running: list[ApiHost] = field(default_factory=list)

    def start(self, name: str) -> ApiHost:
        """A host with the keys of all, and nothing else."""
        folder = self.folder / name
        shutil.copytree(self.template / "keys", folder / "keys")
        # on a machine where other tests run, the child that tries a model may take long
        process, url = start(folder, **self.settings, smoke_timeout_seconds=PATIENCE_SECONDS)
        client = httpx.Client(base_url=url, timeout=2 * PATIENCE_SECONDS)
        host = ApiHost(name, folder, process, client)
        self.running.append(host)
        return host

    def stop(self) -> None:
        for host in self.running:
            host.client.close()
            host.process.terminate()
        for host in self.running:
            host.process.wait(30)
            assert host.process.stdout is not None
            host.process.stdout.close()


@contextmanager
def stopped(server: S3Server) -> Iterator[None]:
    """It accepts connections and answers nothing."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.fixture(params=["folder", "s3"])
def hosts(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Iterator[Hosts]:
    bucket = tmp_path / "bucket"
    said: dict[str, Any] = {"store_url": bucket.as_uri()}
    gone: Callable[[], AbstractContextManager[None]] = lambda: away(bucket)  # noqa: E731
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        said, gone = server.settings() | {"store_timeout_seconds": 2}, lambda: stopped(server)
    made = Hosts(template, tmp_path, said, gone)
    try:
        yield made
    finally:
        made.stop()


def test_hosts_that_share_a_store_serve_as_one(hosts: Hosts, template: Path) -> None:
    """One story, because two processes take seconds to start."""
    signer = Signer(template / "keys")
    first, second = hosts.start("a"), hosts.start("b")
    assert (first.version, second.version) == (None, None)

    # a push to one is served by the other
    pushed = first.push(signer.bundle("1.0.0"), signer)
    assert pushed.status_code == 200, pushed.text
    second.serves("1.0.0")
    pushed = second.push(signer.bundle("1.0.1"), signer)
    assert pushed.status_code == 200, pushed.text
    assert pushed.json()["owed"] is False
    first.serves("1.0.1")

    # so are rollback and revocation
    assert first.order("/rollback_model", version="1.0.0").status_code == 200
    second.serves("1.0.0")
    assert second.order("/revoke_model", version="1.0.1").status_code == 200
    wait_until(lambda: _states(first)["1.0.1"] == "revoked", PATIENCE_SECONDS)

    # of pushers that race over both hosts exactly one wins
    for version in ("1.0.2", "1.0.3"):
        raws = [signer.bundle(version, description=f"{version} by {at}") for at in range(8)]
        askers = [(first, second)[at % 2] for at in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda host, raw: host.push(raw, signer), askers, raws))
        assert sorted(answer.status_code for answer in answers) == [200] + 7 * [409]
        first.serves(version)
        second.serves(version)
    digests = {host.client.get("/current_model").json()["sha256"] for host in (first, second)}
    assert len(digests) == 1

    # without the store the host that is asked rolls back, and the others follow later
    with hosts.away():
        rolled = first.order("/rollback_model")
        assert rolled.status_code == 200, rolled.text
        assert rolled.json()["owed"] is True
        assert (first.version, second.version) == ("1.0.2", "1.0.3")
        refused = second.push(signer.bundle("1.0.4"), signer)
        assert refused.status_code == 500
        assert "is away" in refused.json()["detail"]
    second.serves("1.0.2")
    assert first.version == "1.0.2"

    # a fresh host becomes ready by itself, and has somewhere to go back to
    third = hosts.start("c")
    third.serves("1.0.2")
    assert third.client.get("/current_model").json()["fallback"] == "1.0.0"


def test_a_rollout_runs_on_every_host_and_its_counts_add_up(hosts: Hosts, template: Path) -> None:
    signer = Signer(template / "keys")
    first, second = hosts.start("a"), hosts.start("b")
    assert first.push(signer.bundle("1.0.0"), signer).status_code == 200
    second.serves("1.0.0")
    raw = signer.bundle("1.0.1")
    headers = {"X-Bundle-Signature": signer.sign(raw), "X-Rollout": "canary"}
    headers |= {**first.bearer(Role.PUSH), "Content-Type": "application/octet-stream"}
    assert first.client.post("/update_model", content=raw, headers=headers).status_code == 200
    wait_until(lambda: _rollout(second) is not None, PATIENCE_SECONDS)
    for host in (first, second):
        for at in range(20):
            said = {"amount": 3.0, "user_id": f"{host.name}-{at}"}
            assert host.client.post("/score", json=said).status_code == 200
    wait_until(lambda: _counted(first) == _counted(second) == 40, PATIENCE_SECONDS)
    ended = second.order("/update_rollout", action="abort", version="1.0.1")
    assert ended.status_code == 200, ended.text
    wait_until(lambda: _rollout(first) is None, PATIENCE_SECONDS)


def _states(host: ApiHost) -> dict[str, str]:
    found = host.client.get("/models").json()["models"]
    return {one["version"]: one["state"] for one in found}


def _rollout(host: ApiHost) -> dict[str, Any] | None:
    found: dict[str, Any] | None = host.client.get("/current_model").json()["rollout"]
    return found


def _counted(host: ApiHost) -> int:
    rollout = _rollout(host)
    arms = {} if rollout is None else rollout["arms"]
    return sum(arm["requests"] for arm in arms.values())
