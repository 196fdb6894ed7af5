"""Files of transactions through a version: features as in training, answers as from /predict."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sqlalchemy import Engine, select

import usecases
from shared.clock import SystemClock, isoformat
from shared.importing.files import SourceTable
from shared.importing.importer import import_files
from shared.importing.mapping import CsvRules, Mapping, MappingError
from shared.keys.tokens import Role, read_token
from shared.rows.sources import opened_files
from shared.system.files import TEMPORARY_PREFIX
from shared.tables.engine import connect, migrate
from shared.tables.schema import api_transaction_logs
from shared.tables.writer import write_history
from shared.usecase.serving import ServedModel
from tests.api.server import Running
from tests.support.served_fraud import fraud_settings
from tests.usecases.fraud.features.frames import DAY, frame
from tests.usecases.fraud.features.stream import labels_of, rushes
from understudy.score_files import ScoreRequest, score_files
from understudy.score_history import make_parts_with_history, subject_of
from understudy.score_plan import prepared
from understudy.settings import CommandSettings
from usecases.fraud import table_scorer
from usecases.fraud.features import batch
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.judgement import Decision, judge, judgements
from usecases.fraud.training.snapshot import read_snapshot

NOW_US = SystemClock().now_us()
COMPONENTS = ("classifier", "isolation_forest")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/history.db")
    migrate(engine)
    yield engine
    engine.dispose()


def stream(seed: int, count: int) -> pl.DataFrame:
    """Transactions with their labels; each id once."""
    rows = [row for rush in rushes(seed, count, 6, 60) for row in rush]
    once = list({row.transaction_id: row for row in rows}.values())
    return frame(once, [label for row in once for label in labels_of(seed, row)])


def store(engine: Engine, rows: pl.DataFrame) -> None:
    with engine.begin() as connection:
        write_history(connection, rows.to_dicts())


def write_csv(path: Path, rows: pl.DataFrame) -> Path:
    instants = [pl.col("event_time").map_elements(isoformat, return_dtype=pl.String)]
    names = [
        name
        for name in rows.columns
        if "label" not in name and name not in ("ingested_at", "sent_by")
    ]
    rows.select(names).with_columns(instants).write_csv(path)
    return path


def read(path: Path) -> tuple[table_scorer.FileRows, Mapping]:
    with opened_files([path], CsvRules()) as opened:
        tables = [table for table in opened if isinstance(table, SourceTable)]
        mapping = table_scorer.own_mapping(tables)
        return table_scorer.read_rows(tables, mapping, NOW_US), mapping


def test_rows_of_a_file_have_the_features_that_training_gives_them_once_imported(
    engine: Engine, tmp_path: Path
) -> None:
    store(engine, stream(1, 40))
    path = write_csv(tmp_path / "rows.csv", stream(2, 50).head(250))
    rows, mapping = read(path)
    matrix = table_scorer.features(engine, rows.accepted, NOW_US)
    import_files(
        engine, [path], mapping, tmp_path / "rejected.csv", NOW_US, progress=lambda *_: None
    )
    snapshot = read_snapshot(engine, NOW_US)
    later = dict(zip(snapshot["transaction_id"], batch.compute(snapshot), strict=True))
    imported = np.stack([later[name] for name in rows.accepted["transaction_id"]])
    np.testing.assert_array_equal(matrix, imported)
    assert len(matrix) == 250


def test_a_row_that_is_stored_already_keeps_its_ingestion_and_counts_once(
    engine: Engine, tmp_path: Path
) -> None:
    stored = stream(3, 40)
    store(engine, stored)
    rows, _ = read(write_csv(tmp_path / "rows.csv", stored.head(100)))
    matrix = table_scorer.features(engine, rows.accepted, NOW_US)
    snapshot = read_snapshot(engine, NOW_US)
    known = dict(zip(snapshot["transaction_id"], batch.compute(snapshot), strict=True))
    np.testing.assert_array_equal(
        matrix, np.stack([known[name] for name in rows.accepted["transaction_id"]])
    )


def test_an_id_counts_where_it_comes_first_and_bad_rows_say_why(tmp_path: Path) -> None:
    rows = stream(4, 5).head(4)
    path = write_csv(tmp_path / "rows.csv", pl.concat([rows, rows.head(1)]))
    lines = path.read_text().splitlines()
    place = lines[0].split(",").index("amount")
    bad = lines[2].split(",")
    bad[place] = "-1"
    path.write_text("\n".join([*lines[:2], ",".join(bad), *lines[3:]]) + "\n")
    found, _ = read(path)
    errors = found.places["error"].to_list()
    assert [error is None for error in errors] == [True, False, True, True, False]
    assert "amount" in errors[1]
    assert "earlier in the files" in errors[4]
    assert found.accepted.height == 3


def test_a_file_without_our_names_is_refused_with_the_way_to_map_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,when\n1,2026-01-01\n")
    with pytest.raises(MappingError, match="--mapping"):
        read(path)


SCORES = st.floats(-2, 2, width=32) | st.sampled_from([0.25, 0.5, 0.75, float("nan")])
NAMES = ("review", "block", *COMPONENTS)
LIMITS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.5]))


@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=8), LIMITS)
def test_judging_a_table_says_what_judging_each_row_says(
    rows: list[tuple[float, float]], thresholds: dict[str, float]
) -> None:
    scores = np.array(rows, dtype=np.float32)
    found = judgements(scores, COMPONENTS, thresholds)
    served = ServedModel("1.0.0", COMPONENTS, thresholds)
    for at, row in enumerate(scores):
        one = judge(row, served)
        assert list(Decision)[found.decision[at]] is one.decision
        assert found.is_outlier[at] == one.is_outlier
        if np.isfinite(row).all():
            assert found.anomaly_score[at] == one.anomaly_score


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """An API that serves a tiny model of the real features."""
    settings = fraud_settings(
        tmp_path,
        components=COMPONENTS,
        feature_names=FEATURE_SET.names[:4],
        thresholds={"review": 10.0, "block": 40.0, "isolation_forest": 30.0},
    )
    with Running(settings, usecases.load_serving("fraud")) as running:
        yield running


def command(server: Running) -> CommandSettings:
    said = {
        "use_case": "fraud",
        "api_url": server.url,
        "keys_dir": server.settings.keys_dir,
        "database_url": server.settings.database_url,
    }
    return CommandSettings.model_validate(said)


def test_a_file_is_answered_as_predict_answers_its_rows(server: Running, tmp_path: Path) -> None:
    now_us = SystemClock().now_us()
    rows = stream(5, 12).head(40).with_columns(
        event_time=pl.lit(now_us - DAY) + pl.int_range(40) * 1_000_000,
        user_id=pl.format("new {}", pl.int_range(40)),
    )  # fmt: skip
    path, out = write_csv(tmp_path / "rows.csv", rows), tmp_path / "scores.parquet"
    score_files(ScoreRequest((path,), out), command(server), Console(quiet=True))
    found = pl.read_parquet(out)
    assert found["transaction_id"].to_list() == rows["transaction_id"].to_list()
    sent = [
        {name: value for name, value in row.items() if value is not None}
        for row in pl.read_csv(path, schema_overrides={"device_id": pl.String}).iter_rows(
            named=True
        )
    ]
    token = read_token(server.settings.keys_dir, Role.SCORER)
    headers = {"Authorization": f"Bearer {token}"}
    answer = server.client.post("/predict/batch", json={"instances": sent}, headers=headers)
    assert answer.status_code == 200, answer.text
    fields = (
        "is_fraud",
        "probability",
        "is_outlier",
        "anomaly_score",
        "review_required",
        "version",
    )
    for row, said in zip(found.iter_rows(named=True), answer.json()["predictions"], strict=True):
        assert "error" not in said, said
        assert {name: row[name] for name in fields} == {name: said[name] for name in fields}


def test_recorded_rows_are_decisions_whose_vectors_are_those_of_training(
    server: Running, tmp_path: Path
) -> None:
    rows = stream(7, 20).head(120)
    url = server.settings.database_url.get_secret_value()
    engine = connect(url)
    path, out = write_csv(tmp_path / "rows.csv", rows), tmp_path / "scores.parquet"
    before = decisions(engine)
    for restart in (False, True):
        request = ScoreRequest((path,), out, record=True, restart=restart)
        score_files(request, command(server), Console(quiet=True))
    found = {key: row for key, row in decisions(engine).items() if key not in before}
    snapshot = read_snapshot(engine, SystemClock().now_us())
    engine.dispose()
    assert sorted(found) == sorted(rows["transaction_id"])
    vectors = dict(zip(snapshot["transaction_id"], batch.compute(snapshot), strict=True))
    for row in pl.read_parquet(out).iter_rows(named=True):
        stored = found[row["transaction_id"]]
        assert (stored["score"], stored["decision"]) == (row["probability"], row["decision"])
        assert stored["model_version"] == row["version"] == "1.0.0"
        assert stored["sent_by"] == table_scorer.SENDER
        assert stored["ingested_at"] == stored["event_time"]
        vector = np.frombuffer(stored["feature_vector"], dtype="<f4")
        np.testing.assert_array_equal(vector, vectors[row["transaction_id"]])


@pytest.mark.parametrize("late_us", [0, 3 * DAY])
def test_recording_rows_that_were_imported_changes_no_feature_of_any_row(
    server: Running, tmp_path: Path, late_us: int
) -> None:
    rows = stream(8 + late_us % 7, 20).with_columns(
        transaction_id=pl.format("known {} {}", pl.lit(late_us), "transaction_id"),
        user_id=pl.format("{} {}", pl.lit(late_us), "user_id"),
        merchant_id=pl.format("{} {}", pl.lit(late_us), "merchant_id"),
        ingested_at=pl.col("event_time") + pl.int_range(pl.len()) % 5 * late_us,
    )
    engine = connect(server.settings.database_url.get_secret_value())
    store(engine, rows)
    before = read_snapshot(engine, NOW_US)
    path, out = write_csv(tmp_path / "rows.csv", rows), tmp_path / "scores.parquet"
    request = ScoreRequest((path,), out, record=True)
    assert score_files(request, command(server), Console(quiet=True)).errors.total() == 0
    after = read_snapshot(engine, NOW_US)
    stored = decisions(engine)
    engine.dispose()
    assert set(rows["transaction_id"]) <= set(stored)
    vectors = batch.compute(before)
    np.testing.assert_array_equal(batch.compute(after), vectors)
    for key, vector in zip(before["transaction_id"], vectors, strict=True):
        if key in set(rows["transaction_id"]):
            served = np.frombuffer(stored[key]["feature_vector"], dtype="<f4")
            np.testing.assert_array_equal(served, vector)


def decisions(engine: Engine) -> dict[str, dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(select(api_transaction_logs)).mappings()
        return {row["transaction_id"]: dict(row) for row in rows}


def test_a_run_that_goes_on_makes_the_same_rows_although_history_has_grown(
    server: Running, tmp_path: Path
) -> None:
    rows = stream(6, 30)
    path, folder = write_csv(tmp_path / "rows.csv", rows.tail(100)), tmp_path / "parts"
    engine = connect(server.settings.database_url.get_secret_value())
    work = prepared(
        command(server),
        subject_of("fraud", None),
        [path],
        folder,
        SystemClock().now_us(),
        version=None,
        restart=False,
    )

    def make() -> tuple[int, pl.DataFrame]:
        counts, _ = make_parts_with_history(
            work, "fraud", engine, [path], mapping=None, progress=lambda _: None, rows_a_part=30
        )
        parts = sorted(folder.glob("part-*.parquet"))
        return counts.kept, pl.concat([pl.read_parquet(one) for one in parts])

    kept, undisturbed = make()
    assert (kept, undisturbed.height) == (0, 100)
    later = [row | {"ingested_at": SystemClock().now_us()} for row in rows.head(50).to_dicts()]
    with engine.begin() as connection:
        write_history(connection, later)
    sorted(folder.glob("part-*.parquet"))[1].unlink()
    (folder / f"{TEMPORARY_PREFIX}part").touch()
    kept, again = make()
    engine.dispose()
    assert kept == 70
    assert again.equals(undisturbed)
    assert not list(folder.glob(f"{TEMPORARY_PREFIX}*"))
