"""The learning half from rows in a database to a graph that scores them."""

from pathlib import Path

import numpy as np
import polars as pl

from learning.export.parity import run_graph
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_history
from tests.usecases.fraud.training.examples import AS_OF_US, labelled_history, silent
from usecases import load_learning


def test_rows_of_the_database_become_a_candidate_that_scores_them(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'logs.db'}")
    migrate(engine)
    stored = labelled_history(days=60, count=2_000, every=20)
    large = pl.when(pl.col("label") == 1).then(pl.col("amount") + 200)
    with engine.begin() as link:
        write_history(link, stored.with_columns(amount=large.otherwise("amount")).to_dicts())
    use_case = load_learning("fraud")
    snapshot = use_case.snapshot(engine, AS_OF_US)
    engine.dispose()
    assert use_case.check_quality(snapshot, AS_OF_US).passed
    matrix = use_case.features(snapshot)
    split = use_case.split(snapshot, AS_OF_US)
    labels = snapshot["label"].cast(pl.Int8).fill_null(-1).to_numpy()
    names = use_case.feature_set.names
    candidate = use_case.train(matrix[split.train], labels[split.train], names, 0, silent)
    scores = run_graph(candidate.files["model.onnx"], matrix[split.held_out])
    held_out = snapshot[split.held_out]
    found = use_case.metrics(use_case.headline(scores), labels[split.held_out], held_out)
    assert found["auc"] > 0.95
    assert set(use_case.policy.first_model_min) <= {*found, "positives"}
    assert np.isfinite(list(found.values())).all()


def test_the_use_case_says_who_it_is_without_reading_anything() -> None:
    use_case = load_learning("fraud")
    assert (use_case.name, use_case.schema_version) == ("fraud", 1)
    assert len(use_case.feature_set.names) == 47
