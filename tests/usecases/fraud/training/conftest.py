import numpy as np
import pytest

from shared.usecase.serving import FloatMatrix
from tests.usecases.fraud.training.examples import QUICK, Trained, example_rows, silent
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.candidate import FraudTrainingRequest, fit_components, train_candidate
from usecases.fraud.training.policy import FraudPolicy, read_policy


@pytest.fixture(scope="session")
def policy() -> FraudPolicy:
    return read_policy()


@pytest.fixture(scope="session")
def ask(policy: FraudPolicy) -> FraudTrainingRequest:
    matrix, labels = example_rows(3_000, seed=1)
    return FraudTrainingRequest(
        matrix=matrix,
        labels=labels,
        feature_names=FEATURE_SET.names,
        feature_set_version="1",
        thresholds=policy.thresholds,
        seed=7,
        recipe=QUICK,
    )


@pytest.fixture(scope="session")
def trained(ask: FraudTrainingRequest) -> Trained:
    return Trained(ask, fit_components(ask, silent), train_candidate(ask, silent))


@pytest.fixture
def fresh_rows() -> FloatMatrix:
    """Rows no model has seen, with unknown values, defaults and extremes in them."""
    matrix, _ = example_rows(2_000, seed=99)
    rng = np.random.default_rng(5)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    matrix[0] = np.nan
    matrix[1] = 0.0
    matrix[2] = 1e9
    matrix[3] = -1e9
    return matrix
