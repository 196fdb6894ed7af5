"""What the figures are made of."""

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from scheduler.report.measuring import (
    MIN_BIN_ROWS,
    POINTS,
    by_slice,
    importances,
    overall,
    sample_rows,
    view,
)
from scheduler.report.task_views import Floats
from shared.usecase.serving import FloatMatrix
from tests.support.report_data import scored


def test_a_thinned_curve_keeps_its_area() -> None:
    rows = scored(rows=20_000)

    found = view("1.0.0", rows.candidate, rows.positive)

    assert found is not None
    assert len(found.roc.x) <= POINTS
    assert found.auc == pytest.approx(roc_auc_score(rows.positive, rows.candidate))
    assert auc(found.roc.x, found.roc.y) == pytest.approx(found.auc, abs=0.002)
    assert found.average_precision == pytest.approx(
        average_precision_score(rows.positive, rows.candidate)
    )
    assert {found.precision_recall.x.min(), found.precision_recall.x.max()} == {0.0, 1.0}


def test_a_calibrated_model_lies_within_its_intervals() -> None:
    rows = scored(rows=20_000)

    found = view("1.0.0", rows.candidate, rows.positive)

    assert found is not None
    assert found.reliability is not None
    bins = found.reliability
    inside = (bins.lower <= bins.predicted) & (bins.predicted <= bins.upper)
    assert len(inside) >= 6
    assert np.mean(inside) >= 0.8


def test_bins_of_a_few_rows_are_left_out() -> None:
    scores = np.concatenate([np.full(500, 0.2), np.full(MIN_BIN_ROWS - 1, 0.95)])
    positive = np.arange(len(scores)) % 5 == 0

    found = view("1.0.0", scores, positive)

    assert found is not None
    assert found.reliability is not None
    assert found.reliability.predicted.tolist() == pytest.approx([0.2])


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    rows = scored()

    found = view("1.0.0", rows.candidate * 30.0, rows.positive)

    assert found is not None
    assert found.reliability is None


def test_one_class_alone_makes_no_curve() -> None:
    assert view("1.0.0", np.ones(50), np.zeros(50, dtype=np.bool_)) is None


def test_differences_lie_inside_their_intervals_on_the_whole_and_on_slices() -> None:
    rows = scored()
    whole, context = list(overall(rows)), list(by_slice(rows, "auc"))

    measured = [item.measured for item in whole + context if item.measured is not None]
    assert len(measured) == 5
    assert all(item.lower <= item.difference <= item.upper for item in measured)
    assert all(
        item.difference == pytest.approx(item.candidate - item.champion) for item in measured
    )
    assert [item.rows for item in context] == [1_500, 1_500, 0]
    assert context[-1].problem == "no rows to compare on"


def test_shuffling_noise_costs_nothing_and_shuffling_signal_costs_most() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(4_000, 3)).astype(np.float32)
    positive = matrix[:, 0] + 0.5 * matrix[:, 1] + rng.normal(size=4_000) > 2.0

    def score(rows: FloatMatrix) -> Floats:
        return np.asarray(rows[:, 0] + 0.5 * rows[:, 1], dtype=np.float64)

    columns = {"some": [1], "noise": [2], "much": [0], "both": [0, 1]}
    found = importances(score, matrix, positive, columns, rng)

    assert [item.name for item in found] == ["both", "much", "some", "noise"]
    assert found[-1].loss == 0.0
    assert all(item.lowest <= item.loss <= item.highest for item in found)


def test_the_rare_class_is_never_sampled_away() -> None:
    positive = np.arange(100_000) % 1_000 == 0

    rows = sample_rows(positive, np.random.default_rng(0))

    assert int(positive[rows].sum()) == 100
    assert len(rows) == 850
