"""Figures have as many digits as a person reads."""

import pytest

from scheduler.report.words import named, number, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"), (True, "yes"), (0, "0"), (0.0, "0"), (-0.0, "0"), (28.0, "28"),
        (0.05, "0.05"), (0.8945123, "0.8945"), (6.8182, "6.82"), (13.6364, "13.6"),
        (295.9861, "296"), (1238.4, "1\N{NARROW NO-BREAK SPACE}238"), (0.00012345, "0.00012"),
        (1e20, "1e+20"), (1234567, "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"),
        (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_a_figure_has_the_digits_that_count(value: object, text: str) -> None:
    assert number(value) == text


def test_a_difference_has_a_sign_unless_there_is_none() -> None:
    assert [signed(value) for value in (0.01, -0.0123, 0.0, -0.0)] == ["+0.01", "-0.0123", "0", "0"]


def test_a_seed_is_no_amount() -> None:
    assert named("seed", 20260101) == "20260101"
