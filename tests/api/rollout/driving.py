"""A server with a candidate on trial, and users who fall where a test wants them."""

from typing import Any

import httpx

from api.registry.rollouts import Rollout, RolloutFile, Rollouts
from api.rollout.canary import Splitter, limit_of
from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.server import Running

CANDIDATE = "1.0.1"
Shown = dict[str, Any]


def shown(server: Running) -> Any:
    """The `rollout` member of GET /current_model."""
    return server.client.get("/current_model").json()["rollout"]


def last(server: Running) -> Any:
    return server.client.get("/current_model").json()["last_rollout"]


def try_out(
    server: Running, signer: Signer, mode: str, graph: bytes | None = None
) -> httpx.Response:
    """Push 1.0.1 on trial; its graph may be anything that passes the smoke test."""
    files = None if graph is None else {"model.onnx": graph}
    return server.push(signer.bundle(CANDIDATE, files), signer, **{"X-Rollout": mode})


def update(server: Running, action: str, fence: int | None = None, **body: Any) -> httpx.Response:
    headers = server.bearer(Role.PUSH)
    if fence is not None:
        headers["X-Fencing-Number"] = str(fence)
    said = {"action": action, "version": CANDIDATE, "reason": "a test", **body}
    return server.client.post("/update_rollout", json=said, headers=headers)


def current(settings: Settings) -> Rollout:
    rollout = RolloutFile(settings.prod_models_dir).read(Rollouts()).current
    assert rollout is not None
    return rollout


def users(settings: Settings, count: int, *, inside: bool, share: int = 5) -> list[str]:
    """Users inside, or outside, of a share, by the salt of the rollout that is on."""
    splitter, limit = Splitter(current(settings).salt), limit_of(share)
    found: list[str] = []
    number = 0
    while len(found) < count:
        number += 1
        name = f"user-{number}"
        if (splitter.place(name).bucket < limit) == inside:
            found.append(name)
    return found


def version_for(server: Running, user: str, **body: Any) -> str:
    """Which version answers this user."""
    answer = server.score(amount=1.0, user_id=user, **body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model-version"] == answer.json()["version"]
    return str(answer.json()["version"])
