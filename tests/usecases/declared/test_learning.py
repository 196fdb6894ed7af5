"""The learning half: what is trained on declared rows is what is served, for every task."""

import json
from typing import Any

import numpy as np
import pytest

from learning.export.parity import run_graph
from shared.rows.schema import Row
from shared.tasks import TaskKind
from shared.usecase.learning import Candidate
from shared.usecase.serving import ServedModel
from shared.verdicts import Outcome
from tests.support.declared_bench import NOW_US, Imported
from usecases.declared.learning import stored_labels
from usecases.declared.serving import RowFeatures

FLOORS = {
    TaskKind.BINARY: ("auc", 0.7),
    TaskKind.REGRESSION: ("r2", 0.7),
    TaskKind.MULTICLASS: ("accuracy", 0.8),
    TaskKind.RANKING: ("ndcg_at_5", 0.8),
}


def quiet(_what: str, _share: float) -> None:
    pass


@pytest.fixture(scope="module")
def candidate(use_case: Imported) -> Candidate:
    learning, snapshot = use_case.learning, use_case.snapshot
    split = learning.split(snapshot, NOW_US)
    matrix = learning.features(snapshot)
    labels: Any = stored_labels(learning.task, snapshot["label"].gather(split.train))
    names = learning.feature_set.names
    return learning.train(matrix[split.train], labels, names, 1, quiet)


def scores_of(candidate: Candidate, matrix: np.ndarray) -> np.ndarray:
    return run_graph(candidate.files["model.onnx"], matrix)


def test_clean_rows_pass_the_gates(use_case: Imported) -> None:
    learning, snapshot = use_case.learning, use_case.snapshot
    assert learning.quarantine(snapshot, NOW_US).rows == 0
    verdict = learning.check_quality(snapshot, NOW_US)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    split = learning.split(snapshot, NOW_US)
    matrix = learning.features(snapshot)
    second = learning.check_features(use_case.engine, snapshot, matrix, split, NOW_US)
    assert second.outcome is Outcome.PASS, second.reason


def test_the_split_keeps_what_depends_on_each_other_apart(use_case: Imported) -> None:
    snapshot = use_case.snapshot
    split = use_case.learning.split(snapshot, NOW_US)
    assert len(split.train) > len(split.held_out) > 100
    assert not set(split.train) & set(split.held_out)
    if use_case.learning.declared.use_case.no_time:
        sides = [set(snapshot["entity"].gather(rows)) for rows in (split.train, split.held_out)]
        assert not sides[0] & sides[1]
    else:
        times = snapshot["event_time"]
        assert times.gather(split.train).max() <= times.gather(split.held_out).min()  # type: ignore[operator]


def test_the_model_has_learned_something(use_case: Imported, candidate: Candidate) -> None:
    learning, snapshot = use_case.learning, use_case.snapshot
    split = learning.split(snapshot, NOW_US)
    scores = scores_of(candidate, learning.features(snapshot)[split.held_out])
    truth: Any = stored_labels(learning.task, snapshot["label"].gather(split.held_out))
    found = learning.metrics(learning.task.predictions(scores), truth, snapshot)
    name, least = FLOORS[learning.task.kind]
    assert found[name] > least


def test_requests_are_answered_with_what_was_trained(
    use_case: Imported, candidate: Candidate
) -> None:
    serving = use_case.serving
    [route] = serving.routes
    features = RowFeatures(serving.row_schema)
    model = ServedModel("1.0.0", candidate.components, candidate.thresholds)
    respond: Any = route.respond
    for body in route.examples.values():
        request = serving.request_model.model_validate_json(json.dumps(body))
        row = serving.maker.row(request, NOW_US)
        vector = features.vector(row)
        answer = respond(row, vector, scores_of(candidate, vector[None, :])[0], model)
        route.response_model.model_validate(answer.body)
        assert answer.body["version"] == "1.0.0"
        json.dumps(answer.body)


def test_served_vectors_are_those_of_training(use_case: Imported) -> None:
    """Rows of the snapshot, sent as requests, have the same vectors to the last bit."""
    serving, snapshot = use_case.serving, use_case.snapshot
    matrix = use_case.learning.features(snapshot)
    features = RowFeatures(serving.row_schema)
    for at, stored in enumerate(snapshot.head(200).iter_rows(named=True)):
        values = tuple(stored[name] for name in serving.row_schema.names)
        row = Row(stored["row_id"], stored["entity"], stored["event_time"], NOW_US, values)
        assert features.vector(row).tobytes() == matrix[at].tobytes()
