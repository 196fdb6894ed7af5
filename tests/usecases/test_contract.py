"""What every use case in usecases/ keeps to, whether it is declared or has code of its own."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import usecases
from api.journal.entries import Decided, RecordFormat
from shared.clock import MICROS_PER_DAY, to_datetime
from shared.errors import SettingsError
from shared.importing.files import PLACES, Piece
from shared.rows.convert import RowConverter, needed_sources
from shared.rows.declaration import read_declaration
from shared.tables.engine import connect
from shared.tasks.metrics import BUDGETED, is_metric_of
from shared.usecase.learning import LearningUseCase
from shared.usecase.serving import Answer, ScoringRoute, ServedModel, ServingUseCase
from tests.support.declared_bench import NOW_US
from tests.support.shipped_use_cases import ROOT, copy_of_the_code, shipped_names
from usecases.declared.generated import Generated
from usecases.declared.learning import DeclaredLearning

NAMES = shipped_names()
DECLARED = [name for name in NAMES if usecases.declared_folder(name)]
# one in every run, the others with the slow tests: each starts a process that imports everything
LONELY = [
    name if name == DECLARED[0] else pytest.param(name, marks=pytest.mark.slow) for name in NAMES
]
Example = tuple[str, ScoringRoute, dict[str, Any]]
START = """
import json, sys
import usecases, api.serving, scheduler.main, understudy.cli
name = sys.argv[1]
serving, learning = usecases.load_serving(name), usecases.load_learning(name)
usecases.row_store(name), usecases.check_learning(name)
examples = [one for route in serving.routes for one in route.examples.values()]
rows = [serving.to_transaction(serving.request_model.model_validate_json(json.dumps(one)), 2**50)
        for one in examples]
print(len(rows), serving.feature_set == learning.feature_set)
"""


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def serving(name: str) -> ServingUseCase:
    return usecases.load_serving(name)


@pytest.fixture
def learning(name: str, tmp_path: Path) -> LearningUseCase:
    """The learning half; files of a source that a developer generated are out of its reach."""
    found = usecases.load_learning(name)
    return replace(found, folder=tmp_path) if isinstance(found, DeclaredLearning) else found


def examples_of(serving: ServingUseCase) -> list[Example]:
    return [
        (title, route, body)
        for route in serving.routes
        for title, body in route.examples.items()
    ]  # fmt: skip


def row_of(serving: ServingUseCase, body: dict[str, Any]) -> Any:
    request = serving.request_model.model_validate_json(json.dumps(body))
    return serving.to_transaction(request, NOW_US)


def model_of(learning: LearningUseCase) -> ServedModel:
    return ServedModel("1.0.0", learning.task.outputs, {})


def test_four_use_cases_ship_and_three_of_them_have_no_code() -> None:
    assert {"fraud", "churn", "deliveries", "tickets"} <= set(NAMES)
    assert {"churn", "deliveries", "tickets"} <= set(DECLARED)
    kinds = {usecases.load_learning(name).task.kind.value for name in NAMES}
    assert {"binary", "multiclass", "regression"} <= kinds


def test_both_halves_say_the_same_of_name_version_and_features(
    name: str, serving: ServingUseCase, learning: LearningUseCase
) -> None:
    assert serving.name == learning.name == name
    assert serving.schema_version == learning.schema_version
    assert serving.feature_set == learning.feature_set


def test_names_of_features_are_unique_and_one_stands_for_each_number(
    serving: ServingUseCase, tmp_path: Path
) -> None:
    names = serving.feature_set.names
    assert len(set(names)) == len(names) > 0
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    usecases.row_store(serving.name).prepare(engine)
    source = serving.feature_source(engine)
    for _title, _route, body in examples_of(serving):
        assert source.vector(row_of(serving, body)).shape == (len(names),)


def test_every_stored_column_comes_from_a_field_of_the_request(
    name: str, serving: ServingUseCase
) -> None:
    store = usecases.row_store(name)
    assert len(set(store.columns)) == len(store.columns)
    assert store.field_of(store.columns[0]) == store.fields.row_id
    assert {"event_time", "ingested_at"} <= set(store.columns)
    fields = {store.field_of(column) for column in store.columns}
    ours = {"ingested_at", "entity", "event_time"}
    assert fields - ours <= set(serving.request_model.model_fields)


@pytest.mark.parametrize("name", DECLARED)
def test_the_columns_of_a_declaration_are_no_roles(name: str) -> None:
    schema = read_declaration(ROOT / name / usecases.DECLARATION).row_schema
    roles = schema.roles
    assert schema.name == name
    assert len(set(schema.names)) == len(schema.names)
    about = {roles.row_id, roles.entity, roles.time, roles.known_at}
    assert not about & {*schema.names, *(column.source for column in schema.columns)}
    assert roles.label not in schema.names


def test_examples_of_every_route_validate_and_are_answered_as_the_route_promises(
    serving: ServingUseCase, learning: LearningUseCase
) -> None:
    model = model_of(learning)
    scores = np.linspace(0.1, 0.9, len(model.components), dtype=np.float32)
    vector = np.zeros(len(serving.feature_set.names), dtype=np.float32)
    examples = examples_of(serving)
    assert {route.path for _title, route, _body in examples} == {r.path for r in serving.routes}
    for _title, route, body in examples:
        answer = route.respond(row_of(serving, body), vector, scores, model)
        promised = route.response_model.model_validate_json(json.dumps(answer.body))
        assert promised.model_dump(mode="json", exclude_unset=True) == answer.body
        assert answer.decision


def test_a_row_that_was_served_and_journaled_is_learned_from_with_the_same_bits(
    serving: ServingUseCase, learning: LearningUseCase, tmp_path: Path
) -> None:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    records = RecordFormat(usecases.row_store(serving.name))
    records.rows.prepare(engine)
    _title, route, body = examples_of(serving)[0]
    row = row_of(serving, body)
    vector = serving.feature_source(engine).vector(row).copy()
    model = model_of(learning)
    scores = np.full(len(model.components), 0.25, dtype=np.float32)
    answer: Answer = route.respond(row, vector, scores, model)
    decided = Decided(row, vector, scores, model)
    payload = records.encode_decision(decided, answer, serving.feature_set.version, 1.0)
    with engine.begin() as connection:
        record: Any = records.decode_row(payload)
        records.rows.write_decisions(connection, records.columns, [record])
    snapshot = learning.snapshot(engine, NOW_US + MICROS_PER_DAY)
    matrix = learning.features(snapshot)
    assert matrix.dtype == np.float32
    assert matrix.tobytes() == vector.astype(np.float32).tobytes()
    assert learning.newest_row_us(engine) == row.event_time_us
    engine.dispose()


def test_the_policy_judges_by_metrics_of_its_task(learning: LearningUseCase) -> None:
    policy, kind = learning.policy, learning.task.kind
    for metric in (policy.primary_metric, *policy.guard_metrics, *policy.first_model_min):
        assert is_metric_of(kind, metric) or metric in BUDGETED, metric
    assert policy.primary_metric not in policy.guard_metrics
    assert policy.first_model_min or policy.first_model_beats_constant
    assert 0 < policy.yearly_alpha < 1
    assert policy.min_positives > 0


@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_use_case_ships_a_rule_that_makes_its_file_and_every_row_of_it_fits(
    name: str,
) -> None:
    declared = read_declaration(ROOT / name / usecases.DECLARATION)
    generated: Generated = importlib.import_module(f"usecases.{name}.generate").GENERATED
    frame = generated.make(400, 5, to_datetime(NOW_US))
    assert frame.equals(generated.make(400, 5, to_datetime(NOW_US)))
    assert declared.source.files == (generated.file.name,)
    text = frame.select(pl.col(each).cast(pl.String) for each in frame.columns)
    columns = needed_sources(declared, frame.columns, generated.file.name)
    place = pl.Series(PLACES[0], range(1, frame.height + 1), pl.Int64)
    piece = Piece(text.select(columns), place, place, 1.0)
    converted = RowConverter(declared, NOW_US).convert(piece)
    assert converted.accepted.height == frame.height
    known = converted.accepted["label"].drop_nulls()
    assert 0 < len(known) < frame.height or declared.row_schema.roles.delay_us == 0


@pytest.mark.parametrize("name", LONELY)
def test_a_use_case_works_where_every_other_folder_was_deleted(name: str, tmp_path: Path) -> None:
    tree = copy_of_the_code(tmp_path / "tree", only=name)
    environment = {**os.environ, "PYTHONPATH": str(tree), "VAR_DIR": str(tmp_path / "var")}
    done = subprocess.run(
        [sys.executable, "-c", START, name],
        cwd=tree, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows, is_same = done.stdout.split()
    assert int(rows) > 0
    assert is_same == "True"


@pytest.mark.parametrize("name", ["declared", "nothing", "no such"])
def test_a_folder_that_is_no_use_case_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(SettingsError, match="understudy new"):
        usecases.load_serving(name)
    with pytest.raises(SettingsError, match="understudy new"):
        usecases.check_learning(name)
