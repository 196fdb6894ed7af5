"""Versions change while answers are given: none fails, none is torn."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from api.models.serving_state import Push
from api.settings import Settings
from api.wiring import build_service
from shared.clock import SystemClock
from tests.api.bundles import Signer, bias_of
from tests.api.server import Running
from tests.api.tiny import TinyUseCase
from tests.support.api_registries import NoSmoke


@dataclass
class Load:
    """Clients that send rows until told to stop, and keep what came back."""

    server: Running
    failures: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    answers: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, work: Callable[[], None]) -> None:
        clients = [threading.Thread(target=self._send, args=(n,)) for n in range(3)]
        for client in clients:
            client.start()
        try:
            work()
        finally:
            self._stop.set()
            for client in clients:
                client.join()

    def _send(self, number: int) -> None:
        with httpx.Client(base_url=self.server.url, timeout=20) as client:
            while not self._stop.is_set():
                path = "/score" if number else "/score/batch"
                body = {"amount": 2.0} if number else {"instances": [{"amount": 2.0}] * 5}
                answer = client.post(path, json=body)
                if answer.status_code != 200:
                    self.failures.append(answer.text)
                    continue
                self._check(answer)

    def _check(self, answer: httpx.Response) -> None:
        self.answers += 1
        named = answer.headers["X-Model-Version"]
        self.versions.add(named)
        body = answer.json()
        for row in body.get("predictions", [body]):
            if row["version"] != named or row["probability"] != 1.0 + bias_of(named):
                self.failures.append(f"torn: {named} {row}")


def test_swapping_and_stepping_back_under_load_fails_and_tears_no_answer(
    settings: Settings, signer: Signer
) -> None:
    service = build_service(settings, TinyUseCase(), SystemClock(), smoke=NoSmoke())
    with Running(settings, service=service) as server:
        load = Load(server)

        def swap() -> None:
            for number in range(1, 21):
                raw = signer.bundle(f"1.{number}.0")
                assert server.push(raw, signer).status_code == 200
            for _ in range(5):
                assert server.rollback().status_code == 200

        load.run(swap)
        server.drained()
    assert load.failures == []
    assert load.answers > 50
    assert len(load.versions) > 10


def test_two_pushes_of_one_version_at_once_serve_it_once(
    settings: Settings, signer: Signer
) -> None:
    service = build_service(settings, TinyUseCase(), SystemClock(), smoke=NoSmoke())
    service.models.promoter.restore()
    raw = signer.bundle("1.0.1")
    push = Push(raw, signer.sign(raw), None, "test")
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            outcomes.append(service.models.promoter.push(push).version)
        except Exception as error:  # noqa: BLE001 - what it is, is the outcome
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["1.0.1", *["VersionNotNewer"] * 3]
