"""One look at a rollout: what the API shows of it, and nothing else.

A decision is a function of one look and the policy, so each stored line can be replayed alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A mean and its standard error."""

    mean: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Arm:
    """Figures of one arm since the stage began.

    Attributes:
        below: share of scores below each edge.
    """

    users: int
    requests: int
    errors: int
    groups: int
    alert_rate: MeanEstimate | None
    latency_ms: MeanEstimate | None
    below: tuple[MeanEstimate, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """The state of a rollout at one instant.

    Attributes:
        next_share: what the next stage would be; None: promotion.
        gave_up: why the shadow process is not restarted any more.
    """

    mode: str
    version: str
    champion: str
    share_percent: int
    next_share: int | None
    stage_seconds: float
    candidate: Arm
    champion_arm: Arm
    gave_up: str | None = None


def look_from(shown: Mapping[str, Any]) -> Look:
    """The `rollout` member of GET /current_model.

    Raises:
        KeyError, TypeError: it is not one.
    """
    arms = shown["arms"]
    shadow = shown.get("shadow") or {}
    return Look(
        mode=shown["mode"],
        version=shown["version"],
        champion=shown["champion"],
        share_percent=shown["share_percent"],
        next_share=shown["next_share"],
        stage_seconds=shown["stage_seconds"],
        candidate=_arm(arms["candidate"]),
        champion_arm=_arm(arms["champion"]),
        gave_up=shadow.get("gave_up"),
    )


def to_json(look: Look) -> dict[str, Any]:
    return asdict(look)


def from_json(stored: Mapping[str, Any]) -> Look:
    """The look as it was stored; `from_json(to_json(look)) == look`."""
    arms = {name: _stored_arm(stored[name]) for name in ("candidate", "champion_arm")}
    return Look(**{**stored, **arms})


def _arm(shown: Mapping[str, Any]) -> Arm:
    return Arm(
        users=shown["users"],
        requests=shown["requests"],
        errors=shown["errors"],
        groups=shown["groups"],
        alert_rate=_mean(shown["alert_rate"]),
        latency_ms=_mean(shown["latency_ms"]),
        below=tuple(MeanEstimate(**item["share"]) for item in shown["scores"]),
    )


def _stored_arm(stored: Mapping[str, Any]) -> Arm:
    means = {name: _mean(stored[name]) for name in ("alert_rate", "latency_ms")}
    return Arm(
        **{**stored, **means, "below": tuple(MeanEstimate(**item) for item in stored["below"])}
    )


def _mean(shown: Mapping[str, float] | None) -> MeanEstimate | None:
    return None if shown is None else MeanEstimate(**shown)
