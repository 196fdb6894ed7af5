"""The publisher: the only way from a candidate to the API, and it checks the decision again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from scheduler.decision import PromotionDecision, decide
from scheduler.scoring_api import ApiUnavailable, ScoringApi, Serving
from shared.contracts.rollouts import Mode
from shared.errors import UnderstudyError

Sign = Callable[[bytes], str]
Permit = Callable[[PromotionDecision], None]


def permit_any(_decision: PromotionDecision) -> None:
    """Permits every promotion: no approval is required."""


class NotPromoted(UnderstudyError):
    """Raised when something tries to publish what no decision promotes."""


class PushState(StrEnum):
    """The outcome of a push."""

    ACTIVATED = "activated"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PushResult:
    """The result of a push. UNKNOWN: it may or may not have arrived; ask for the live version.

    `partial` says which workers of the API could not follow, if any; `rollout` how the version
    came into service.
    """

    state: PushState
    reason: str
    version: str
    previous: str | None = None
    activated_at: str | None = None
    partial: str | None = None
    rollout: Mode = Mode.IMMEDIATE


class Publisher:
    """Signs what was promoted, and pushes what was signed."""

    def __init__(self, api: ScoringApi, sign: Sign, permit: Permit = permit_any) -> None:
        """`permit` raises NotPromoted where a person would have to approve and has not."""
        self._api = api
        self._sign = sign
        self._permit = permit

    def sign(self, decision: PromotionDecision, raw: bytes) -> str:
        """The signature over a promoted bundle.

        Raises:
            NotPromoted: the decision does not promote exactly these bytes.
        """
        check_promotes(decision, raw)
        self._permit(decision)
        return self._sign(raw)

    def push(
        self,
        decision: PromotionDecision,
        raw: bytes,
        signature: str,
        fencing_number: int | None = None,
    ) -> PushResult:
        """Hand the bundle to the API, which refuses it when a newer number has pushed since.

        Raises:
            NotPromoted: the decision does not promote exactly these bytes.
        """
        check_promotes(decision, raw)
        self._permit(decision)
        version = str(decision.inputs.candidate_version)
        try:
            answer = self._api.push(raw, signature, fencing_number)
        except ApiUnavailable as error:
            return PushResult(PushState.UNKNOWN, str(error), version)
        if not answer.accepted:
            reason = f"the API answered {answer.status}: {answer.detail}"
            return PushResult(PushState.REFUSED, reason, version)
        reason = answer.partial or "activated"
        return PushResult(
            PushState.ACTIVATED,
            reason,
            version,
            answer.previous,
            answer.activated_at,
            answer.partial,
            answer.rollout,
        )

    def serving(self) -> Serving | None:
        """The live version and the one on trial, as the API reports them."""
        return self._api.current()


def check_promotes(decision: PromotionDecision, raw: bytes) -> None:
    """Decide again from the inputs, and tie the decision to these very bytes."""
    if not decision.promotes or decide(decision.inputs) != decision:
        raise NotPromoted(f"the decision is {decision.action}: {decision.reason}")
    if hashlib.sha256(raw).hexdigest() != decision.inputs.candidate_sha256:
        raise NotPromoted("these are not the bytes that were judged")
