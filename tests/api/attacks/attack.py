"""One attempt against a running service, and what has to come of it: nothing."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import httpx

from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.server import Running

_PROBLEM = "urn:understudy:problem:"


@dataclass(frozen=True, slots=True)
class Target:
    """The attacked service, and a stolen trusted key that signs for the attacker."""

    server: Running
    signer: Signer
    serving: str

    def push(self, raw: bytes, **headers: str) -> httpx.Response:
        """With the right token and a signature that holds."""
        return self.server.push(raw, self.signer, **headers)

    def score(self) -> httpx.Response:
        headers = self.server.bearer(Role.SCORER)
        return self.server.client.post("/score", json={"amount": 3.0}, headers=headers)


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack, and the answers that refuse it: (status, kind of problem)."""

    name: str
    attempt: Callable[[Target], httpx.Response]
    refusals: Collection[tuple[int, str]]

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


def outcome(attack: Attack, target: Target) -> str | None:
    """None when it was refused and changed nothing, else what went wrong."""
    registry = target.server.service.models.registry
    before = set(registry.ledger.accepted), registry.current()
    try:
        answer: httpx.Response | None = attack.attempt(target)
    except (httpx.RemoteProtocolError, httpx.NetworkError):
        answer = None  # the server hung up
    trouble = _not_refused(attack, answer)
    if (set(registry.ledger.accepted), registry.current()) != before:
        return "the registry is another one"
    scored = target.score()
    if scored.status_code != 200 or scored.json()["version"] != target.serving:
        return f"version {target.serving} does not serve on: {scored.text[:200]}"
    return trouble


def _not_refused(attack: Attack, answer: httpx.Response | None) -> str | None:
    if answer is None:
        return None if any(kind == HUNG_UP for _, kind in attack.refusals) else "no answer"
    is_problem = answer.content and "problem+json" in answer.headers["content-type"]
    kind = answer.json()["type"].removeprefix(_PROBLEM) if is_problem else ""
    if (answer.status_code, kind) in attack.refusals:
        return None
    return f"answered {answer.status_code} {kind}: {answer.text[:200]}"


HUNG_UP = "hung-up"
