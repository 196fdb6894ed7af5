"""Rounding a threshold down keeps every comparison of float32 rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learning.export.trees import SummedTrees, Tree, floor32, thresholds

FLOATS = st.floats(allow_nan=False, width=64, min_value=-3e38, max_value=3e38)


@given(FLOATS, st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_rounded_threshold_sends_every_float32_row_the_same_way(
    threshold: float, value: float
) -> None:
    rounded = floor32(threshold)
    assert (np.float32(value) <= rounded) == (value <= threshold)


@given(FLOATS)
def test_a_row_next_to_the_threshold_goes_the_same_way(threshold: float) -> None:
    nearest = np.float32(threshold)
    for row in (np.nextafter(nearest, -np.inf), nearest, np.nextafter(nearest, np.inf)):
        assert (row <= floor32(threshold)) == (float(row) <= threshold)


def test_an_infinite_threshold_stays_infinite() -> None:
    assert floor32(np.inf) == np.inf


def test_thresholds_are_gathered_by_feature_and_leaves_have_none() -> None:
    tree = Tree(
        feature=np.array([4, 0, 0]),
        threshold=np.array([1.5, 0, 0], dtype=np.float32),
        left=np.array([1, 0, 0]),
        right=np.array([2, 0, 0]),
        missing_left=np.array([True, False, False]),
        leaf=np.array([False, True, True]),
        value=np.array([0, 1, 2], dtype=np.float32),
    )
    assert {key: list(found) for key, found in thresholds([SummedTrees([tree, tree])]).items()} == {
        4: [1.5]
    }
