"""The decision: nothing but PASS from every gate promotes, and it can be replayed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.decision import (
    REQUIRED_GATES,
    DecisionInputs,
    PromotionAction,
    decide,
    from_json,
    replay,
    to_json,
)
from shared.verdicts import Outcome, Verdict

BAD = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR)
numbers = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    max_size=3,
)
gates = st.sampled_from((*REQUIRED_GATES, "drift"))
verdicts = st.builds(Verdict, gates, st.sampled_from(Outcome), st.text(max_size=20), numbers)
inputs = st.builds(
    DecisionInputs,
    candidate_version=st.none() | st.just("1.0.1"),
    candidate_sha256=st.none() | st.just("ab" * 32),
    champion_version=st.none() | st.just("1.0.0"),
    first_model=st.booleans(),
    champion_scored=st.booleans(),
    policy=st.just("tiny"),
    verdicts=st.lists(verdicts, max_size=7).map(tuple),
)


def passing(**changes: object) -> DecisionInputs:
    base = DecisionInputs(
        candidate_version="1.0.1",
        candidate_sha256="ab" * 32,
        champion_version="1.0.0",
        first_model=False,
        champion_scored=True,
        policy="tiny",
        verdicts=tuple(Verdict(gate, Outcome.PASS, "fine") for gate in REQUIRED_GATES),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@given(inputs, st.sampled_from(BAD), gates, st.integers(0, 7))
def test_no_combination_with_a_verdict_other_than_pass_promotes(
    given_inputs: DecisionInputs, outcome: Outcome, gate: str, place: int
) -> None:
    found = list(given_inputs.verdicts)
    found.insert(place, Verdict(gate, outcome, "bad"))

    assert decide(replace(given_inputs, verdicts=tuple(found))).action is PromotionAction.REFUSE


@given(st.sampled_from(BAD), st.sampled_from(REQUIRED_GATES), st.booleans())
def test_one_bad_verdict_among_good_ones_refuses_also_the_first_model(
    outcome: Outcome, gate: str, first_model: bool
) -> None:
    champion = None if first_model else "1.0.0"
    good = passing(first_model=first_model, champion_version=champion)
    bad = tuple(
        replace(verdict, outcome=outcome) if verdict.gate == gate else verdict
        for verdict in good.verdicts
    )

    assert decide(good).action is PromotionAction.PROMOTE
    assert decide(replace(good, verdicts=bad)).action is PromotionAction.REFUSE


@given(st.sets(st.sampled_from(REQUIRED_GATES), min_size=1))
def test_missing_gates_refuse(missing: set[str]) -> None:
    good = passing()
    left = tuple(verdict for verdict in good.verdicts if verdict.gate not in missing)

    decision = decide(replace(good, verdicts=left))

    assert (decision.action, decision.code) == (PromotionAction.REFUSE, "gate_missing")


@given(inputs)
def test_every_decision_can_be_stored_as_json_and_replayed(given_inputs: DecisionInputs) -> None:
    decision = decide(given_inputs)

    stored = json.loads(json.dumps(to_json(decision)))

    assert from_json(stored) == decision
    assert replay(stored) == decision


@given(inputs)
def test_only_a_complete_set_of_passes_promotes(given_inputs: DecisionInputs) -> None:
    decision = decide(given_inputs)

    if decision.promotes:
        assert {verdict.gate for verdict in given_inputs.verdicts} >= set(REQUIRED_GATES)
        assert all(verdict.passed for verdict in given_inputs.verdicts)
        assert given_inputs.first_model == (given_inputs.champion_version is None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"first_model": True}, "champion_unclear"),
        ({"champion_version": None}, "champion_unclear"),
        ({"candidate_version": None}, "candidate_missing"),
        ({"candidate_sha256": None}, "candidate_missing"),
        ({"verdicts": ()}, "gate_missing"),
    ],
)
def test_inputs_that_do_not_fit_together_refuse(changes: dict[str, object], code: str) -> None:
    decision = decide(passing(**changes))

    assert (decision.action, decision.code) == (PromotionAction.REFUSE, code)


def test_the_first_model_and_an_unscored_champion_are_named_in_the_code() -> None:
    assert decide(passing()).code == "promoted"
    first = decide(passing(first_model=True, champion_version=None))
    assert first.code == "first_model"
    assert decide(passing(champion_scored=False)).code == "promoted_over_unscored_champion"
