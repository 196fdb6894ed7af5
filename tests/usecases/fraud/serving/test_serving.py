"""The serving half is found by name, is whole, and loads no training library."""

import subprocess
import sys
from pathlib import Path

import pytest

import usecases
from shared.tables.engine import connect
from usecases.fraud.rules.rulefile import RuleFileError
from usecases.fraud.serving import use_case

# numba itself imports scipy where there is one; the API image has none
TRAINING = ("torch", "sklearn", "skl2onnx", "polars", "pandera")


def test_the_fraud_use_case_is_found_by_name() -> None:
    serving = usecases.load_serving("fraud")
    assert serving.name == "fraud"
    assert [route.path for route in serving.routes] == ["/predict", "/api/analyze-transaction"]
    assert serving.routes[0].batch_path == "/predict/batch"
    assert len(serving.feature_set.names) == 47


def test_every_example_of_every_route_becomes_a_transaction() -> None:
    serving = usecases.load_serving("fraud")
    for route in serving.routes:
        for body in route.examples.values():
            request = serving.request_model.model_validate(body)
            assert serving.to_transaction(request, 1_767_609_000_000_000).amount == body["amount"]


def test_its_feature_source_stands_on_an_engine(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/rows.db")
    source = usecases.load_serving("fraud").feature_source(engine)
    assert callable(source.vector)
    usecases.load_serving("fraud").warm_up()
    engine.dispose()


def test_a_faulty_rule_file_keeps_the_use_case_from_loading(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("format = 1", encoding="utf-8")
    with pytest.raises(RuleFileError, match="version: Field required"):
        use_case(path)


def test_the_serving_half_loads_no_training_library() -> None:
    code = (
        "import sys, usecases; usecases.load_serving('fraud');"
        f"sys.exit(','.join(m for m in {TRAINING} if m in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == ""
