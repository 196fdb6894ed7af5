"""The API's rollout as seen from here: what it shows, and the one request that moves it on."""

from typing import Protocol

from scheduler.rollout.stage import StageAction, StageDecision
from scheduler.scoring_api import StepAnswer
from shared.contracts.rollouts import Action, RolloutRequest, RolloutView

_ACTIONS = {
    StageAction.ADVANCE: Action.ADVANCE,
    StageAction.PROMOTE: Action.PROMOTE,
    StageAction.ROLL_BACK: Action.ABORT,
}


class RolloutApi(Protocol):
    """What the driver needs of the API. Both raise ApiUnavailable."""

    def rollout(self) -> RolloutView | None:
        """The `rollout` member of GET /current_model; None: nothing is on trial."""
        ...

    def update_rollout(
        self, request: RolloutRequest, fencing_number: int | None = None
    ) -> StepAnswer:
        """POST /update_rollout; refused when a greater number was there before."""
        ...


def request_of(decision: StageDecision) -> RolloutRequest:
    """The request that carries out a decision.

    It names the share it was decided at: a step that comes too late, or twice, is refused.
    """
    return RolloutRequest(
        action=_ACTIONS[decision.step],
        version=decision.look.version,
        share_percent=decision.share_percent,
        from_share_percent=decision.look.share_percent,
        reason=f"{decision.code}: {decision.reason}"[:500],
    )
