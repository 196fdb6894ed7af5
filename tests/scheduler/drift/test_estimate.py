"""Performance without labels comes true where scores mean what they meant, and only there."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from scheduler.drift.baseline import Baseline, NoBaseline, decode, encode
from scheduler.drift.estimate import Calibration, Performance, estimate, fit_calibration, measure


def rows(seed: int, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    chances = rng.beta(0.3, 6.0, size=count)
    # what a model says is a bent version of the chance, in steps: there are ties
    return np.round(chances**0.5, 2), rng.random(count) < chances


def test_metrics_are_those_of_scikit_learn_ties_included() -> None:
    scores, positive = rows(1)
    found = measure(scores, positive)
    assert found.auc == pytest.approx(roc_auc_score(positive, scores))
    assert found.average_precision == pytest.approx(average_precision_score(positive, scores))


def test_scores_that_still_mean_what_they_meant_foretell_the_truth() -> None:
    calibration = fit_calibration(*rows(1))
    scores, positive = rows(2)
    foretold, true = estimate(scores, calibration), measure(scores, positive)
    assert foretold.average_precision.mean == pytest.approx(true.average_precision, abs=0.03)
    assert foretold.auc.mean == pytest.approx(true.auc, abs=0.02)
    assert foretold.positives.mean == pytest.approx(true.positives, rel=0.1)
    assert foretold.auc.low < foretold.auc.mean < foretold.auc.high


def test_rows_that_have_become_harder_are_seen_without_labels() -> None:
    calibration = fit_calibration(*rows(1))
    easy, _ = rows(2)
    hard = np.full_like(easy, easy.mean())
    hard[::2] += 0.01
    assert estimate(hard, calibration).auc.mean < estimate(easy, calibration).auc.mean - 0.2


def test_one_class_has_no_metrics_and_no_warning() -> None:
    scores = np.array([0.1, 0.2, 0.2])
    nothing = measure(scores, np.zeros(3, dtype=np.bool_))
    assert np.isnan([nothing.auc, nothing.average_precision]).all()
    assert np.isnan(estimate(scores, Calibration((0.0, 1.0), (0.0, 0.0))).auc.mean)


def test_a_baseline_survives_the_bundle_and_anything_else_is_refused() -> None:
    baseline = Baseline(
        columns={},
        label_delay_us=7,
        calibration=Calibration((0.0, 1.0), (0.0, 0.5)),
        held_out=Performance(10, 2, 0.9, 0.5),
    )
    assert decode(encode(baseline)) == baseline
    for raw in (b"{}", b"[]", b"no", b'{"format": 1, "columns": {}}'):
        with pytest.raises(NoBaseline):
            decode(raw)


def test_an_undefined_metric_is_null_in_the_bundle() -> None:
    undefined = Performance(10, 0, float("nan"), float("nan"))
    raw = encode(Baseline({}, 0, Calibration((0.0,), (0.0,)), undefined))
    assert b"NaN" not in raw
    assert np.isnan(decode(raw).held_out.auc)
