"""The API's rollout as seen from here: what it shows, and the one request that moves it on."""

from collections.abc import Mapping
from typing import Any, Protocol

from scheduler.rollout.stage import StageAction, StageDecision
from scheduler.scoring_api import StepAnswer

_ACTIONS = {
    StageAction.ADVANCE: "advance",
    StageAction.PROMOTE: "promote",
    StageAction.ROLL_BACK: "abort",
}


class RolloutApi(Protocol):
    """What the driver needs of the API. Both raise ApiUnavailable."""

    def rollout(self) -> Mapping[str, Any] | None:
        """The `rollout` member of GET /current_model; None: nothing is on trial."""
        ...

    def update_rollout(
        self, body: Mapping[str, Any], fencing_number: int | None = None
    ) -> StepAnswer:
        """POST /update_rollout; refused when a greater number was there before."""
        ...


def request_of(decision: StageDecision) -> dict[str, Any]:
    """The request that carries out a decision.

    It names the share it was decided at: a step that comes too late, or twice, is refused.
    """
    body: dict[str, Any] = {
        "action": _ACTIONS[decision.step],
        "version": decision.look.version,
        "from_share_percent": decision.look.share_percent,
        "reason": f"{decision.code}: {decision.reason}"[:500],
    }
    if decision.share_percent is not None:
        body["share_percent"] = decision.share_percent
    return body
