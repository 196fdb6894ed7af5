"""Models that would take the service with them: tried in a child that is limited and killed."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.settings import Settings
from tests.api.bundles import Signer
from tests.api.server import Running
from tests.support.api_pushes import endless, greedy


def children() -> set[str]:
    """Processes of this one that try a model."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"api.smoke" in command and parent == str(os.getpid()):
            found.add(process.name)
    return found


@pytest.mark.parametrize("graph", [endless, greedy], ids=["loops for ever", "takes ten gigabytes"])
def test_the_old_model_serves_on_while_a_hungry_one_is_tried_and_killed(
    settings: Settings, signer: Signer, graph: Callable[[], bytes]
) -> None:
    raw = signer.bundle("1.0.1", {"model.onnx": graph()})
    tried = threading.Event()
    with Running(settings.model_copy(update={"smoke_timeout_seconds": 3.0})) as server:

        def push() -> int:
            try:
                return server.push(raw, signer).status_code
            finally:
                tried.set()

        with ThreadPoolExecutor(1) as pool:
            pushed = pool.submit(push)
            versions = []
            while not tried.wait(0.05):
                versions.append(server.score(amount=1.0).json()["version"])
        assert pushed.result() == 422
        assert set(versions) == {"1.0.0"}
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
    assert children() == set()
