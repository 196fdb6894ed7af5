"""The schema of a rollout in GET /current_model."""

from collections.abc import Mapping

from api.registry.rollouts import Ended, Rollout
from api.rollout.arm_counts import total
from api.rollout.arm_statistics import arm_statistics
from api.rollout.controller import RolloutController
from shared.clock import MICROS_PER_SECOND, isoformat
from shared.contracts.rollouts import (
    SHARES,
    EndedView,
    Mode,
    RolloutArms,
    RolloutView,
    RolloutWorkers,
    ShadowState,
)


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
        arms=RolloutArms(
            champion=arm_statistics(arms.champion, champions),
            candidate=arm_statistics(arms.candidate, candidates),
        ),
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
    reports: Mapping[int, dict[str, str | None]] = rollout_controller.told()
    following = sum(said["stage"] == rollout.stage_key for said in reports.values())
    troubles = {at: said["trouble"] for at, said in reports.items() if said["trouble"]}
    return RolloutWorkers(
        following=following, total=rollout_controller.workers, troubles={**troubles}
    )
