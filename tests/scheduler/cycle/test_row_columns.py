"""Columns are known by the role that a use case declares, never by their names."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, insert

from scheduler.cycle.baseline import baseline_of
from scheduler.cycle.examples import Examples, Material, build_examples
from scheduler.drift.live import DriftWindow, read_live
from shared.bundle.manifest import Manifest
from shared.rows.declaration import parse_declaration
from shared.rows.encoder import feature_set_of
from shared.rows.table_changes import make_tables
from shared.tables.engine import connect
from shared.usecase.learning import Split
from shared.usecase.rows import RowColumns
from tests.scheduler.fakes import NOW_US
from usecases.declared.learning import DeclaredLearning

ROWS = 400


def examples(columns: RowColumns, **more: pl.Series) -> Examples:
    random = np.random.default_rng(1)
    snapshot = pl.DataFrame(
        {
            "key": [f"r{number}" for number in range(ROWS)],
            "household": [f"h{number % 40}" for number in range(ROWS)],
            "event_time": np.sort(random.integers(0, 10**13, ROWS)),
            "label": (random.random(ROWS) < 0.3).astype(np.float64),
            "risked": random.random(ROWS) * 100,
            **more,
        }
    )
    half = ROWS // 2
    matrix = random.random((ROWS, 2)).astype(np.float32)
    split = Split(np.arange(half), np.arange(half, ROWS))
    return build_examples(snapshot, Material(("a", "b"), matrix, split), ("a", "b"), columns)


def test_rows_of_one_declared_entity_depend_on_each_other() -> None:
    told = examples(RowColumns("key", "household")).customers()
    assert told is not None
    assert len(np.unique(told)) == 40


def test_rows_without_an_entity_stand_alone() -> None:
    assert examples(RowColumns("key")).customers() is None


def test_a_column_called_like_one_of_another_use_case_plays_no_role() -> None:
    strangers = {
        "user_id": pl.Series(["one"] * ROWS),
        "amount": pl.Series(["a lot"] * ROWS),
        "channel": pl.Series(["tv"] * ROWS),
        "country": pl.Series(["FR"] * ROWS),
    }
    told = examples(RowColumns("key", "household", "risked"), **strangers)
    assert len(np.unique(told.customers())) == 40  # type: ignore[arg-type]
    amounts = told.amounts()
    assert amounts is not None
    assert amounts.max() <= 100
    assert set(told.train_rows.columns) == {"event_time"}
    scores = np.random.default_rng(2).random(len(told.held_out_labels))
    assert not {"channel", "country"} & set(baseline_of(told, scores).columns)


def test_declared_words_are_watched_for_drift() -> None:
    regions = pl.Series(["north", "south"] * (ROWS // 2))
    told = examples(RowColumns("key", "household", words=("region",)), region=regions)
    scores = np.random.default_rng(2).random(len(told.held_out_labels))
    assert "region" in baseline_of(told, scores).columns


DECLARED = parse_declaration("""
[use_case]
name = "sample"
task = "binary"
time = "at"
[label]
column = "y"
positive = "yes"
[columns]
count = "category"
size = "number"
""")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    yield engine
    engine.dispose()


def test_what_was_served_is_read_from_the_tables_of_the_declaration(engine: Engine) -> None:
    use_case = DeclaredLearning(DECLARED)
    make_tables(engine, use_case.tables)
    known = feature_set_of(DECLARED.row_schema)
    vector = np.array([3, 1.5], dtype="<f4").tobytes()
    with engine.begin() as connection:
        for number in range(3):
            about = {"row_id": f"r{number}", "entity": "e", "event_time": NOW_US - 10 + number,
                     "ingested_at": NOW_US - 5, "count": "word", "size": 1.5, "label": 1.0,
                     "label_known_at": NOW_US - 4}  # fmt: skip
            connection.execute(insert(use_case.tables.rows).values(about))
            decided = {"row_id": f"r{number}", "decided_at": NOW_US, "model_version": "1.0.0",
                       "component_scores": {"probability": 0.5}, "feature_vector": vector,
                       "feature_set_version": known.version}  # fmt: skip
            connection.execute(insert(use_case.tables.decisions).values(decided))
    served: dict[str, Any] = {
        "version": "1.0.0",
        "components": ("probability",),
        "feature_names": known.names,
        "feature_set_version": known.version,
    }
    manifest: Manifest = BaseModel.model_construct.__func__(Manifest, **served)  # type: ignore[attr-defined]
    window = DriftWindow(NOW_US - 100, NOW_US, NOW_US)
    live = read_live(engine, use_case, manifest, window, 0)
    columns = {name: values for group in live.groups for name, values in group.columns.items()}
    assert columns["count"].tolist() == ["word"] * 3
    assert columns["size"].tolist() == [1.5] * 3
    assert live.labelled_positive.tolist() == [True] * 3
    assert live.scores.tolist() == [0.5] * 3


def test_a_snapshot_without_the_declared_entity_says_nothing_of_it() -> None:
    columns = RowColumns("key", "family")
    assert examples(columns).customers() is None
    assert examples(replace(columns, entity="household")).customers() is not None
