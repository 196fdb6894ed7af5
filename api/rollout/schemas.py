"""What GET /current_model shows of a rollout."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from api.rollout.arm_statistics import ArmStatistics, arm_statistics
from api.rollout.controller import RolloutController
from api.rollout.counters import total
from api.rollout.state import SHARES, Ended, Mode, Rollout
from shared.clock import MICROS_PER_SECOND, isoformat


class ShadowState(BaseModel):
    """How the process beside the service fares, over all workers."""

    dropped: int = Field(description="Rows that its queue had no room for")
    restarts: int
    gave_up: str | None = Field(description="Why it is not started any more")


class RolloutWorkers(BaseModel):
    """Which workers have this stage."""

    following: int
    total: int
    troubles: dict[int, str] = Field(description="Why a worker cannot try the candidate")


class RolloutView(BaseModel):
    """A version on trial beside the champion."""

    mode: Mode
    version: str
    champion: str
    share_percent: int = Field(description="Of users who get the version's answers")
    shares: list[int] = Field(description="The stages of a canary; after the last: promotion")
    next_share: int | None
    began_at: str
    stage_since: str
    stage_seconds: float = Field(description="The figures of the arms are of this time")
    begun_by: str
    arms: dict[str, ArmStatistics] = Field(description="`champion` and `candidate`")
    shadow: ShadowState | None
    workers: RolloutWorkers


class EndedView(BaseModel):
    """How the last rollout ended."""

    mode: Mode
    version: str
    champion: str
    share_percent: int
    outcome: str = Field(description="promoted, aborted or superseded")
    reason: str
    who: str
    began_at: str
    ended_at: str


def rollout_view(rollout_controller: RolloutController, now_us: int) -> RolloutView | None:
    """The rollout in force with the figures of all workers."""
    rollout = rollout_controller.rollout
    if rollout is None:
        return None
    rollout_controller.flush()
    arms, champions, candidates = total(rollout_controller.counters_dir, rollout.stage_key)
    shadow = ShadowState(dropped=arms.dropped, restarts=arms.restarts, gave_up=arms.gave_up)
    return RolloutView(
        mode=rollout.mode,
        version=rollout.version,
        champion=rollout.champion,
        share_percent=rollout.share_percent,
        shares=list(SHARES),
        next_share=rollout.next_share,
        began_at=isoformat(rollout.began_at_us),
        stage_since=isoformat(rollout.stage_since_us),
        stage_seconds=max(0.0, (now_us - rollout.stage_since_us) / MICROS_PER_SECOND),
        begun_by=rollout.who,
        arms={
            "champion": arm_statistics(arms.champion, champions),
            "candidate": arm_statistics(arms.candidate, candidates),
        },
        shadow=shadow if rollout.mode is Mode.SHADOW else None,
        workers=_workers(rollout_controller, rollout),
    )


def ended_view(ended: Ended | None) -> EndedView | None:
    if ended is None:
        return None
    shown = ended.model_dump(exclude={"began_at_us", "ended_at_us"})
    times = {"began_at": isoformat(ended.began_at_us), "ended_at": isoformat(ended.ended_at_us)}
    return EndedView(**shown, **times)


def _workers(rollout_controller: RolloutController, rollout: Rollout) -> RolloutWorkers:
    told: Mapping[int, dict[str, str | None]] = rollout_controller.told()
    following = sum(said["stage"] == rollout.stage_key for said in told.values())
    troubles = {at: said["trouble"] for at, said in told.items() if said["trouble"]}
    return RolloutWorkers(
        following=following, total=rollout_controller.workers, troubles={**troubles}
    )
