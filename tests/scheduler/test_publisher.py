"""The publisher: it checks the decision and the bytes again before it signs or pushes."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from scheduler.decision import (
    REQUIRED_GATES,
    DecisionInputs,
    PromotionAction,
    PromotionDecision,
    decide,
)
from scheduler.publisher import NotPromoted, Publisher, PushState
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import PocketApi

RAW = b"a bundle"
ATTEMPTS: list[Callable[[Publisher, PromotionDecision, bytes], object]] = [
    lambda publisher, decision, raw: publisher.sign(decision, raw),
    lambda publisher, decision, raw: publisher.push(decision, raw, "a signature"),
]


def promoted(outcome: Outcome = Outcome.PASS) -> PromotionDecision:
    return decide(
        DecisionInputs(
            candidate_version="1.0.1",
            candidate_sha256=hashlib.sha256(RAW).hexdigest(),
            champion_version="1.0.0",
            first_model=False,
            champion_scored=True,
            policy="tiny",
            verdicts=tuple(Verdict(gate, outcome, "") for gate in REQUIRED_GATES),
        )
    )


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR])
def test_a_refused_candidate_is_neither_signed_nor_pushed(
    attempt: Callable[[Publisher, PromotionDecision, bytes], object], outcome: Outcome
) -> None:
    api = PocketApi()
    with pytest.raises(NotPromoted):
        attempt(Publisher(api, lambda _raw: "signed"), promoted(outcome), RAW)
    assert api.pushed == []


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_decision_edited_to_promote_is_found_out(
    attempt: Callable[[Publisher, PromotionDecision, bytes], object],
) -> None:
    forged = replace(promoted(Outcome.FAIL), action=PromotionAction.PROMOTE)
    with pytest.raises(NotPromoted):
        attempt(Publisher(PocketApi(), lambda _raw: "signed"), forged, RAW)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_other_bytes_than_those_judged_are_not_published(
    attempt: Callable[[Publisher, PromotionDecision, bytes], object],
) -> None:
    with pytest.raises(NotPromoted, match="not the bytes"):
        attempt(Publisher(PocketApi(), lambda _raw: "signed"), promoted(), RAW + b"!")


def test_a_refusal_and_an_unreachable_api_are_told_apart() -> None:
    refusing, away = PocketApi(push_status=403), PocketApi(away=True)

    refused = Publisher(refusing, lambda _raw: "signed").push(promoted(), RAW, "signed")
    unknown = Publisher(away, lambda _raw: "signed").push(promoted(), RAW, "signed")

    assert (refused.state, unknown.state) == (PushState.REFUSED, PushState.UNKNOWN)
    assert "403" in refused.reason
