"""Every worker has the same canary, and leaves it together with the others."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.settings import Settings
from shared.keys.tokens import Role, read_token
from tests.api.bundles import Signer
from tests.api.rollout.driving import CANDIDATE, users
from tests.api.server import wait_until
from tests.api.workers.crew import Crew

pytestmark = pytest.mark.slow

CHAMPION = "1.0.0"


@pytest.fixture
def crew(settings: Settings, tmp_path: Path) -> Any:
    with Crew(tmp_path, 2) as crew:
        yield crew


def versions(crew: Crew, names: list[str], times: int = 6) -> set[str]:
    """Who answers these users; every request is a new connection, to whichever worker."""
    found = set()
    for _ in range(times):
        for name in names:
            body = {"amount": 1.0, "user_id": name}
            found.add(crew.client.post("/score", json=body).json()["version"])
    return found


def bearer(crew: Crew, role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {read_token(crew.folder / 'keys', role)}"}


def post(crew: Crew, path: str, role: Role, body: dict[str, Any]) -> httpx.Response:
    answer = crew.client.post(path, json=body, headers=bearer(crew, role))
    assert answer.status_code == 200, answer.text
    return answer


def rollout(crew: Crew) -> Any:
    return crew.client.get("/current_model").json()["rollout"]


def within(seconds: float, what: Callable[[], bool]) -> None:
    started = time.monotonic()
    wait_until(what, seconds)
    assert time.monotonic() - started < seconds


def test_two_workers_split_users_alike_and_leave_a_canary_together(
    crew: Crew, settings: Settings, signer: Signer
) -> None:
    raw = signer.bundle(CANDIDATE)
    headers = {
        **bearer(crew, Role.PUSH),
        "Content-Type": "application/octet-stream",
        "X-Bundle-Signature": signer.sign(raw),
    }
    pushed = crew.client.post("/update_model?rollout=canary", content=raw, headers=headers).json()
    assert (pushed["rollout"], pushed["workers"]["serving"]) == ("canary", 2)
    inside, outside = (users(settings, 3, inside=side) for side in (True, False))
    assert versions(crew, inside) == {CANDIDATE}
    assert versions(crew, outside) == {CHAMPION}
    # Figures are of both workers, and a user who met both is one user.
    wait_until(lambda: rollout(crew)["arms"]["candidate"]["requests"] == 18)
    assert rollout(crew)["arms"]["candidate"]["users"] == 3
    assert rollout(crew)["workers"] == {"following": 2, "total": 2, "troubles": {}}

    # A worker that comes back has the same canary, and what the dead one counted still counts.
    crew.kill(1)
    wait_until(lambda: len(crew.states()) == 2, 30)
    wait_until(lambda: rollout(crew)["workers"]["following"] == 2, 30)
    assert versions(crew, inside) == {CANDIDATE}
    wait_until(lambda: rollout(crew)["arms"]["candidate"]["requests"] == 36)

    body = {"action": "advance", "version": CANDIDATE, "reason": "a test"}
    assert post(crew, "/update_rollout", Role.PUSH, body).json()["partial"] is False
    assert versions(crew, inside) == {CANDIDATE}

    post(crew, "/rollback_model", Role.OPERATOR, {"reason": "a test"})
    within(2.0, lambda: versions(crew, inside, 2) == {CHAMPION})
    assert rollout(crew) is None
