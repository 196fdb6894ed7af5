"""A use case whose model is not a graph: packaged, judged and pushed like any other, if allowed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt
import pytest

from shared.bundle.archive import unpack
from shared.tables.runs import RunStatus
from shared.usecase.learning import Candidate, Labels, Progress
from shared.usecase.serving import FloatMatrix
from tests.scheduler.fakes import NAMES, TinyUseCase
from tests.support.cycle_bench import CycleBench


def pickled_scores(weights: npt.NDArray[np.float32]) -> bytes:
    def score(matrix: Any) -> Any:
        return 1 / (1 + np.exp(-(matrix @ weights)))

    return bytes(cloudpickle.dumps(score))


@dataclass
class PythonUseCase(TinyUseCase):
    """The same model as a Python function."""

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        graph = super().train(matrix, labels, feature_names, seed, progress)
        weights = [[self.weights[NAMES.index(name)]] for name in feature_names]
        files = {"model.pkl": pickled_scores(np.array(weights, dtype=np.float32))}
        return replace(graph, files=files, flavour="cloudpickle")


@pytest.fixture
def python(bench: CycleBench) -> CycleBench:
    use_case = PythonUseCase()
    return replace(bench, use_case=use_case, context=replace(bench.context, use_case=use_case))


def test_a_model_that_is_a_python_object_is_judged_and_pushed_where_it_is_allowed(
    python: CycleBench,
) -> None:
    allowed = replace(python, context=replace(python.context, allow_pickle=True))
    run = allowed.run()
    assert run.status is RunStatus.SUCCEEDED, run.message
    bundle = unpack(allowed.api.pushed[0][0])
    assert bundle.manifest.flavour == "cloudpickle"
    assert "model.pkl" in bundle.files
    assert {"numpy", "cloudpickle"} <= set(bundle.manifest.frameworks)
    # The champion of the next run is the pickled one, and can be compared with.
    again = allowed.run()
    assert "scored" not in str(again.message)
    assert again.status in (RunStatus.SUCCEEDED, RunStatus.REFUSED, RunStatus.NOT_DUE)


def test_where_it_is_not_allowed_the_run_says_so_and_nothing_is_pushed(python: CycleBench) -> None:
    run = python.run()
    assert run.status is RunStatus.FAILED
    assert "ALLOW_PICKLE_MODELS" in str(run.message)
    assert python.api.pushed == []
