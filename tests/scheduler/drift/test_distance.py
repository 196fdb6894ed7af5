"""The tests themselves agree with scipy where rows are independent."""

import numpy as np
import pytest
from scipy import stats

from scheduler.drift.bins import ColumnKind, fit_bins
from scheduler.drift.distance import chi_square, design_effect, for_window, kolmogorov_smirnov


def test_binned_kolmogorov_smirnov_comes_close_to_the_exact_one() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=5_000), rng.normal(0.3, 1.0, size=800)
    bins = fit_bins(ColumnKind.NUMBER, before)
    counts = [np.bincount(bins.codes(side), minlength=bins.size) for side in (before, after)]
    found = kolmogorov_smirnov(counts[0], counts[1], 1.0)
    exact = stats.ks_2samp(before, after, method="asymp").statistic
    assert exact - 0.01 <= found.effect <= exact


def test_chi_square_is_that_of_scipy() -> None:
    table = np.array([[120, 60, 20], [40, 35, 25]])
    expected = stats.chi2_contingency(table, correction=False)
    found = chi_square(table[0], table[1], 1.0)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_one_category_on_both_sides_is_no_drift() -> None:
    found = chi_square(np.array([9, 0]), np.array([5, 0]), 1.0)
    assert (found.effect, found.p_value) == (0.0, 1.0)


def test_a_category_the_baseline_never_saw_is_a_large_effect() -> None:
    assert chi_square(np.array([500, 0]), np.array([450, 50]), 1.0).effect > 1.0


def test_one_row_of_a_new_category_is_chance_and_many_are_not() -> None:
    one = chi_square(np.array([100_000, 0]), np.array([1_999, 1]), 1.0)
    assert (one.effect, one.p_value) == (0.0, 1.0)
    many = chi_square(np.array([100_000, 0]), np.array([1_900, 100]), 1.0)
    assert many.effect > 1.0
    assert many.p_value < 1e-9


def test_rare_categories_are_put_together_before_they_are_compared() -> None:
    baseline = np.array([9_000, 990, 4, 3, 3])
    assert chi_square(baseline, np.array([900, 99, 1, 0, 0]), 1.0).effect < 0.01
    assert chi_square(baseline, np.array([900, 90, 4, 3, 3]), 1.0).effect > 0.1


def test_independent_rows_have_almost_no_design_effect_and_days_that_stray_have_one() -> None:
    rng = np.random.default_rng(5)
    quiet = rng.multinomial(400, np.full(10, 0.1), size=60)
    tilted = np.stack([rng.multinomial(400, p) for p in rng.dirichlet(np.full(10, 40.0), size=60)])
    for ordered in (True, False):
        assert design_effect(quiet, ordered) < 1.6
        assert design_effect(tilted, ordered) > 1.5 * design_effect(quiet, ordered)


def test_without_days_or_variety_nothing_is_known_and_nothing_is_divided_by() -> None:
    assert design_effect(np.array([[3, 4]]), ordered=True) == 1.0
    assert design_effect(np.array([[3, 0], [4, 0]]), ordered=True) == 1.0
    assert design_effect(np.array([[3, 0], [4, 0]]), ordered=False) == 1.0
    assert for_window(2.0, 0.0, 10.0) == 2.0


def test_fuller_days_weigh_more_and_emptier_ones_never_less_than_known() -> None:
    assert for_window(3.0, 100.0, 200.0) == 5.0
    assert for_window(3.0, 100.0, 10.0) == 3.0
