"""What training promises: repeatable, complete, and clear about why it cannot."""

from dataclasses import replace

import numpy as np
import pytest

from learning.export.parity import run_graph
from shared.errors import TrainingFailed
from shared.usecase.learning import CHOSEN
from tests.usecases.fraud.training.examples import Trained, silent
from usecases.fraud.training.candidate import FraudTrainingRequest, train_candidate
from usecases.fraud.training.recipe import COMPONENTS


def test_one_seed_gives_one_candidate_to_the_byte(trained: Trained) -> None:
    again = train_candidate(trained.ask, silent)
    assert again.files == trained.candidate.files
    assert again.thresholds == trained.candidate.thresholds


def test_another_seed_gives_another_candidate(trained: Trained) -> None:
    other = train_candidate(replace(trained.ask, seed=8), silent)
    assert other.files["model.onnx"] != trained.candidate.files["model.onnx"]


def test_the_candidate_ranks_positives_first_on_its_own_rows(trained: Trained) -> None:
    scores = run_graph(trained.candidate.files["model.onnx"], trained.ask.matrix)[:, 0]
    positive = trained.ask.labels == 1
    assert np.median(scores[positive]) > np.quantile(scores[~positive], 0.9)


def test_a_candidate_says_everything_the_manifest_asks(trained: Trained) -> None:
    candidate = trained.candidate
    assert candidate.components == COMPONENTS
    assert candidate.feature_names == trained.ask.feature_names
    assert set(candidate.thresholds) == {"review", "block", "isolation_forest", "autoencoder"}
    assert {"scikit-learn", "torch", "onnx"} <= set(candidate.frameworks)
    assert set(candidate.files) == {
        "model.onnx",
        *(f"{name}/model.onnx" for name in COMPONENTS),
    }


def test_what_is_declared_does_not_depend_on_the_data(trained: Trained) -> None:
    fewer = replace(trained.ask, matrix=trained.ask.matrix[:2000], labels=trained.ask.labels[:2000])
    other = train_candidate(fewer, silent)
    for found in (other, trained.candidate):
        assert found.hyperparameters[CHOSEN]["candidate"] == "blend"
    declared = [
        {name: value for name, value in found.hyperparameters.items() if name != CHOSEN}
        for found in (other, trained.candidate)
    ]
    assert declared[0] == declared[1]


def test_progress_only_moves_forward(ask: FraudTrainingRequest) -> None:
    shares: list[float] = []
    train_candidate(ask, lambda _, share: shares.append(share))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("only", [0, 1])
def test_labels_of_one_class_are_refused_by_name(ask: FraudTrainingRequest, only: int) -> None:
    labels = np.full_like(ask.labels, only)
    with pytest.raises(TrainingFailed, match=f"classifier: .* only class {only}"):
        train_candidate(replace(ask, labels=labels), silent)


def test_positives_in_the_newest_rows_only_still_train(ask: FraudTrainingRequest) -> None:
    labels = np.zeros_like(ask.labels)
    labels[-40:] = 1
    candidate = train_candidate(replace(ask, labels=labels), silent)
    assert 0 < candidate.thresholds["review"] <= candidate.thresholds["block"] < 1


def test_an_infinite_feature_is_refused_by_name(ask: FraudTrainingRequest) -> None:
    matrix = ask.matrix.copy()
    matrix[5, ask.feature_names.index("sum_7d")] = np.inf
    with pytest.raises(TrainingFailed, match="sum_7d is infinite in 1 rows"):
        train_candidate(replace(ask, matrix=matrix), silent)


def test_a_feature_without_any_value_is_refused_by_name(ask: FraudTrainingRequest) -> None:
    matrix = ask.matrix.copy()
    matrix[:, ask.feature_names.index("avg_7d")] = np.nan
    with pytest.raises(TrainingFailed, match="avg_7d has no value"):
        train_candidate(replace(ask, matrix=matrix), silent)


def test_unknown_values_in_training_rows_are_learned_from(ask: FraudTrainingRequest) -> None:
    matrix = ask.matrix.copy()
    matrix[np.random.default_rng(0).random(matrix.shape) < 0.1] = np.nan
    candidate = train_candidate(replace(ask, matrix=matrix), silent)
    assert np.isfinite(run_graph(candidate.files["model.onnx"], matrix)).all()


def test_features_that_are_switched_off_are_not_needed(ask: FraudTrainingRequest) -> None:
    kept = [i for i, name in enumerate(ask.feature_names) if not name.startswith("merchant_")]
    names = tuple(ask.feature_names[i] for i in kept)
    fewer = replace(ask, matrix=np.ascontiguousarray(ask.matrix[:, kept]), feature_names=names)
    candidate = train_candidate(fewer, silent)
    assert run_graph(candidate.files["model.onnx"], fewer.matrix[:5]).shape == (5, 3)


def test_a_component_without_any_of_its_features_is_named(ask: FraudTrainingRequest) -> None:
    kept = [ask.feature_names.index(name) for name in ("hour_sin", "hour_cos")]
    fewer = replace(
        ask,
        matrix=np.ascontiguousarray(ask.matrix[:, kept]),
        feature_names=("hour_sin", "hour_cos"),
    )
    with pytest.raises(TrainingFailed, match="isolation_forest: all of its features"):
        train_candidate(fewer, silent)
