"""The tests keep their promise at every look, not only at the last one."""

import numpy as np
import pytest

from scheduler.rollout.sequential import (
    holm,
    mean_differs,
    mean_exceeds,
    rate_exceeds,
    ratio_mismatch,
)

RUNS, LOOKS, ROWS_A_LOOK = 400, 60, 100
ALPHA = 0.05


def alarms(p_values: np.ndarray) -> float:
    """The share of runs with a p-value of at most alpha at any look."""
    return float((p_values.min(axis=1) <= ALPHA).mean())


def test_equal_means_rarely_alarm_however_often_they_are_looked_at() -> None:
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(2, RUNS, LOOKS, ROWS_A_LOOK)).sum(axis=3).cumsum(axis=2)
    rows = np.arange(1, LOOKS + 1) * ROWS_A_LOOK
    differences, variances = (steps[0] - steps[1]) / rows, 2.0 / rows
    found = [
        [mean_differs(d, 0.0, v, 0.1) for d, v in zip(run, variances, strict=True)]
        for run in differences
    ]
    assert alarms(np.array(found)) <= ALPHA
    # The same looks with a test of fixed size.
    peeked = (np.abs(differences) / np.sqrt(variances) > 1.96).any(axis=1).mean()
    assert peeked > 0.15


def test_equal_error_rates_rarely_alarm_even_with_arms_of_very_different_size() -> None:
    rng = np.random.default_rng(2)
    errors = rng.poisson(0.2, size=(RUNS, LOOKS)).cumsum(axis=1)
    others = rng.poisson(0.2 * 19, size=(RUNS, LOOKS)).cumsum(axis=1)
    found = [
        [
            rate_exceeds(int(e), 20 * at, int(o), 380 * at)
            for at, (e, o) in enumerate(zip(*pair, strict=True), 1)
        ]
        for pair in zip(errors, others, strict=True)
    ]
    assert alarms(np.array(found)) <= ALPHA


def test_a_fair_split_rarely_alarms_and_a_crooked_one_does() -> None:
    rng = np.random.default_rng(3)
    for share, true_share, wanted in ((0.05, 0.05, False), (0.05, 0.07, True), (0.5, 0.5, False)):
        inside = rng.binomial(200, true_share, size=(RUNS, LOOKS)).cumsum(axis=1)
        found = [
            [ratio_mismatch(int(n), 200 * at - int(n), share) for at, n in enumerate(run, 1)]
            for run in inside
        ]
        share_of_alarms = float((np.array(found).min(axis=1) < 0.001).mean())
        assert (share_of_alarms > 0.9) if wanted else (share_of_alarms <= 0.005)


def test_only_harm_counts_in_one_sided_tests() -> None:
    assert mean_exceeds(1.0, 0.001, 0.5) < 1e-6
    assert mean_exceeds(-1.0, 0.001, 0.5) == 1.0
    assert rate_exceeds(0, 1_000, 50, 1_000) == 1.0
    assert mean_differs(-1.0, 0.1, 0.001, 0.5) < 1e-6


@pytest.mark.parametrize("numbers", [(0, 0, 0, 0), (0, 10, 0, 10), (3, 0, 0, 100)])
def test_nothing_seen_says_nothing(numbers: tuple[int, int, int, int]) -> None:
    assert rate_exceeds(*numbers) == 1.0
    assert ratio_mismatch(0, 0, 0.05) == 1.0


def test_overwhelming_evidence_has_no_overflow() -> None:
    assert 0.0 < rate_exceeds(10**6, 10**6, 0, 10**6) < 1e-300
    assert 0.0 < mean_exceeds(1e9, 1e-9, 1.0) < 1e-300


def test_holm_pays_for_every_comparison_that_is_left() -> None:
    assert holm({"a": 0.01, "b": 0.02, "c": 0.9}, 0.05) == ["a", "b"]
    assert holm({"a": 0.02, "b": 0.02, "c": 0.9}, 0.05) == []
