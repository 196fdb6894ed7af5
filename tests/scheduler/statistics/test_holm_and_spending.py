"""Corrections for asking often: within one round, and over the rounds of a year."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.statistics.guardrails import holm
from scheduler.statistics.policy import round_alpha


def test_holm_gives_the_worked_example_of_the_literature() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    ranked = [after for _, after in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
    assert all(value <= 1.0 for value in adjusted)


@given(st.integers(1, 400), st.integers(1, 3_000))
def test_however_many_rounds_a_year_has_its_error_is_never_exceeded(
    planned: int, rounds: int
) -> None:
    spent = sum(round_alpha(0.05, planned, number) for number in range(1, rounds + 1))
    assert spent <= 0.05 + 1e-12


def test_the_planned_rounds_share_evenly_and_unplanned_ones_still_have_some() -> None:
    planned = [round_alpha(0.05, 52, number) for number in range(1, 53)]
    assert len(set(planned)) == 1
    assert sum(planned) == pytest.approx(0.045)
    assert 0.0 < round_alpha(0.05, 52, 200) < round_alpha(0.05, 52, 53)


@pytest.mark.parametrize(("alpha", "planned", "number"), [(0.05, 0, 1), (0.05, 52, 0), (0.0, 1, 1)])
def test_spending_that_makes_no_sense_is_refused(alpha: float, planned: int, number: int) -> None:
    with pytest.raises(ValueError, match="cannot spend"):
        round_alpha(alpha, planned, number)
