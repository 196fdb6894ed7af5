"""One look at a rollout: what the API shows of it, and nothing else.

A decision is a function of one look and the policy, so each stored line can be replayed alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared.contracts.rollouts import ArmMean, ArmStatistics, RolloutView


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
class ArmOutcomes:
    """Rows of one arm whose truth is known, and their number of entities; less loss is better."""

    rows: int
    groups: int
    loss: MeanEstimate | None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Ground truth about both arms' answers since the stage began.

    Attributes:
        metric: of which the loss is; where more of it is better, the loss is 1 less it.
    """

    metric: str
    candidate: ArmOutcomes
    champion: ArmOutcomes


@dataclass(frozen=True, slots=True)
class Look:
    """The state of a rollout at one instant.

    Attributes:
        outcomes: None: they are not known.
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
    outcomes: Outcomes | None = None


def look_from(shown: RolloutView, outcomes: Outcomes | None = None) -> Look:
    """The look at what GET /current_model shows of a rollout."""
    return Look(
        mode=shown.mode.value,
        version=shown.version,
        champion=shown.champion,
        share_percent=shown.share_percent,
        next_share=shown.next_share,
        stage_seconds=shown.stage_seconds,
        candidate=_arm(shown.arms.candidate),
        champion_arm=_arm(shown.arms.champion),
        gave_up=None if shown.shadow is None else shown.shadow.gave_up,
        outcomes=outcomes,
    )


def to_json(look: Look) -> dict[str, Any]:
    return asdict(look)


def from_json(stored: Mapping[str, Any]) -> Look:
    """The look as it was stored; `from_json(to_json(look)) == look`."""
    arms = {name: _stored_arm(stored[name]) for name in ("candidate", "champion_arm")}
    outcomes = _stored_outcomes(stored.get("outcomes"))
    return Look(**{**stored, **arms, "outcomes": outcomes})


def _arm(shown: ArmStatistics) -> Arm:
    return Arm(
        users=shown.users,
        requests=shown.requests,
        errors=shown.errors,
        groups=shown.groups,
        alert_rate=_estimate(shown.alert_rate),
        latency_ms=_estimate(shown.latency_ms),
        below=tuple(MeanEstimate(one.share.mean, one.share.standard_error) for one in shown.scores),
    )


def _estimate(shown: ArmMean | None) -> MeanEstimate | None:
    return None if shown is None else MeanEstimate(shown.mean, shown.standard_error)


def _stored_arm(stored: Mapping[str, Any]) -> Arm:
    means = {name: _mean(stored[name]) for name in ("alert_rate", "latency_ms")}
    return Arm(
        **{**stored, **means, "below": tuple(MeanEstimate(**item) for item in stored["below"])}
    )


def _mean(stored: Mapping[str, float] | None) -> MeanEstimate | None:
    return None if stored is None else MeanEstimate(**stored)


def _stored_outcomes(stored: Mapping[str, Any] | None) -> Outcomes | None:
    if stored is None:
        return None
    arms = {
        name: ArmOutcomes(**{**stored[name], "loss": _mean(stored[name]["loss"])})
        for name in ("candidate", "champion")
    }
    return Outcomes(stored["metric"], **arms)
