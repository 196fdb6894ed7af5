"""Rows of files as decisions: what /predict would have stored, once however often it is done."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, select

from shared.bundle.archive import unpack
from shared.importing.files import PLACES, Piece
from shared.rows.row_store import DeclaredRowStore
from shared.rows.tables import served_rows, tables_of
from shared.tables.engine import connect
from shared.usecase.serving import ServedModel
from tests.api.bundles import Signer
from tests.support.served_declared import CHURN, trained
from usecases.churn.generate import customers
from usecases.declared.scoring_files import SENDER, DecisionRecorder, PieceScorer

NOW_US = 2_000_000_000_000_000
ROWS = 30


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> PieceScorer:
    """The shipped churn use case, with rows that have ids of their own."""
    folder = tmp_path_factory.mktemp("named")
    text = (CHURN / "usecase.toml").read_text()
    assert "# row_id" in text
    (folder / "usecase.toml").write_text(text.replace("# row_id = ", "row_id = ", 1))
    said = trained("churn")
    files = said.pop("files")
    bundle = unpack(Signer(tmp_path_factory.mktemp("keys")).bundle("1.0.0", files, **said))
    return PieceScorer.of(folder, bundle, NOW_US)


@pytest.fixture
def recorder(tmp_path: Path, scorer: PieceScorer) -> Iterator[DecisionRecorder]:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    store = DeclaredRowStore(scorer.use_case.row_schema)
    store.prepare(engine)
    yield DecisionRecorder(engine, store, scorer, NOW_US)
    engine.dispose()


def piece() -> Piece:
    frame = customers(ROWS, seed=8).drop("churned")
    ids = pl.Series([None, *(f"r{number}" for number in range(1, ROWS))])
    words = pl.Series([frame["contract"][0], "weekly", *frame["contract"][2:]])
    frame = frame.with_columns(ids.alias("COLUMN"), words.alias("contract"))
    places = pl.Series(PLACES[0], range(1, ROWS + 1), pl.Int64)
    return Piece(frame.select(pl.all().cast(pl.String)), places, places, 1.0)


def stored(engine: Engine, scorer: PieceScorer) -> dict[str, dict[str, object]]:
    served = served_rows(tables_of(scorer.use_case.row_schema))
    with engine.connect() as connection:
        return {row["row_id"]: dict(row) for row in connection.execute(select(served)).mappings()}


def test_a_decision_of_each_row_that_has_an_id_and_an_answer_is_stored_once(
    recorder: DecisionRecorder, scorer: PieceScorer
) -> None:
    one = piece()
    scored = scorer.scored(one)
    assert recorder.record(one, scored) == ROWS - 2
    assert recorder.record(one, scored) == ROWS - 2
    found = stored(recorder.engine, scorer)
    # the first has no id, the second no answer
    assert sorted(found) == sorted(f"r{number}" for number in range(2, ROWS))
    manifest = scorer.model.manifest
    served = ServedModel("1.0.0", manifest.components, manifest.thresholds)
    respond = scorer.use_case.routes[0].respond
    store = recorder.store
    for at in (2, 17, ROWS - 1):
        decision = found[f"r{at}"]
        row = store.row(decision)
        vector = np.frombuffer(decision["feature_vector"], dtype="<f4")  # type: ignore[call-overload]
        again = scorer.use_case.feature_source(recorder.engine).vector(row)
        np.testing.assert_array_equal(vector, again)
        answer = respond(row, vector, scored.scores[at], served)  # type: ignore[arg-type]
        assert decision["score"] == answer.score
        assert decision["decision"] == answer.decision
        assert decision["sent_by"] == SENDER
        assert decision["entity"] == one.frame["customer_id"][at]
        assert decision["decided_at"] == decision["ingested_at"] == NOW_US
