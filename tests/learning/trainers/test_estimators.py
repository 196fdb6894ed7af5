"""Estimators of a person's own: exported, compared, and refused with the step that differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learning.export.parity import run_graph
from learning.trainers.frame import MISSING_WORD, UNSEEN_WORD, to_frame
from learning.trainers.request import InputColumn, Recipe
from learning.trainers.train import GRAPH, fit, train
from shared.errors import TrainingFailed
from shared.tasks import TaskKind
from tests.learning.trainers.rows import COLUMNS, request_for, strange_rows

pytest.importorskip("skl2onnx", reason="pip install -r requirements/converters.txt")
pytest.importorskip("pandas", reason="pip install -r requirements/learning.txt")

OWN = "tests.support.estimators"


def silent(_what: str, _share: float) -> None: ...


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (TaskKind.BINARY, "logistic"),
        (TaskKind.MULTICLASS, "logistic"),
        (TaskKind.REGRESSION, "forest"),
    ],
)
def test_a_pipeline_is_served_as_it_predicts(kind: TaskKind, model: str) -> None:
    request = request_for(kind, f"{OWN}:{model}")
    graph = train(request, silent).files[GRAPH]
    fitted = fit(request, request.recipes[0], slice(None))
    rows = strange_rows()
    rows = rows[np.abs(np.nan_to_num(rows)).max(axis=1) < 1e9]  # 1e30, scaled, is not a float32
    native = fitted.predict(rows).reshape(len(rows), -1)
    assert np.abs(run_graph(graph, rows) - native).max() <= 1e-5 * max(1.0, np.abs(native).max())


def test_an_estimator_may_write_its_own_nodes_and_is_compared_all_the_same() -> None:
    request = request_for(TaskKind.REGRESSION, f"{OWN}:own_nodes")
    rows = strange_rows()
    scores = run_graph(train(request, silent).files[GRAPH], rows)
    native = fit(request, request.recipes[0], slice(None)).predict(rows)
    assert np.abs(scores[:, 0] - native).max() <= 1e-5 * np.abs(native).max()
    with pytest.raises(TrainingFailed, match=r"score differently in the graph.*Nearest"):
        train(request_for(TaskKind.REGRESSION, f"{OWN}:wrong_nodes"), silent)


def test_settings_are_told_step_by_step_and_the_same_in_every_run() -> None:
    request = request_for(TaskKind.BINARY, f"{OWN}:not_convertible")
    told = [fit(request, request.recipes[0], slice(None)).hyperparameters for _ in range(2)]
    assert told[0] == told[1]
    assert told[0]["model__C"] == "1.0"
    assert not any(" at 0x" in text for text in told[0].values())


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION])
def test_boosters_are_served_as_they_predict(library: str, kind: TaskKind) -> None:
    pytest.importorskip(library)
    pytest.importorskip("onnxmltools")
    recipe = Recipe(library, {"model__n_estimators": 15})
    request = replace(request_for(kind), recipes=(recipe,))
    candidate = train(request, silent)  # parity on its rows is a part of it
    fitted = fit(request, recipe, slice(None))
    rows = strange_rows()
    native = fitted.predict(rows).reshape(len(rows), -1)
    separated = np.abs(run_graph(candidate.files[GRAPH], rows) - native).max()
    assert separated <= 1e-5 * max(1.0, np.abs(native).max())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("wrongly_converted", r"rows score differently in the graph.*step boosting"),
        ("not_convertible", r"cannot be converted"),
        ("needs_a_column_that_is_not_there", r"salary"),
        ("without_probabilities", r"answers no probabilities: wrap it in"),
        ("votes", r"numbers outside of 0 to 1, such as 3: wrap it in sklearn's Calibrated"),
        ("raising", r"RuntimeError: the licence has expired"),
        ("Guesses", r"not an estimator, nor a function that returns one.*not its class"),
        ("guesses", r"answers the same rows differently each time"),
        ("no_estimator", r"is not an estimator"),
        ("nothing", r"cannot be loaded"),
        ("forest", r"a binary needs a classifier"),
    ],
)
def test_an_estimator_that_cannot_be_served_is_refused_in_one_sentence(
    model: str, said: str
) -> None:
    with pytest.raises(TrainingFailed, match=said) as refusal:
        train(request_for(TaskKind.BINARY, f"{OWN}:{model}"), silent)
    assert "\n" not in str(refusal.value)[:300]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("of_salary", r"KeyError: 'salary'; it is given the columns age, city, plan, income: decl"),
        ("with_missing", r"answers \d+ of \d+ rows with NaN or infinity: put a SimpleImputer"),
        ("raises_later", r"predict: ZeroDivisionError: no rows of this kind"),
        ("exits", r"predict: SystemExit: 3"),
        ("short", r"answers the shape \(\d+,\) to \d+ rows: it has to be \(\d+, 1\)"),
        ("unclonable", r"Cannot clone object"),
    ],
)
def test_an_estimator_that_fails_when_it_is_asked_is_refused_in_one_sentence(
    model: str, said: str
) -> None:
    with pytest.raises(TrainingFailed, match=said) as refusal:
        train(request_for(TaskKind.REGRESSION, f"{OWN}:{model}"), silent)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def model(:\n", r"SyntaxError: invalid syntax"),
        ("import sys\nsys.exit('no licence')\n", r"SystemExit: no licence"),
        ("model = undefined\n", r"NameError: name 'undefined'"),
    ],
)
def test_a_module_that_cannot_be_read_is_told_by_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    name = f"broken_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TrainingFailed, match=rf"{name}:model.* cannot be loaded.*{said}"):
        train(request_for(TaskKind.REGRESSION, f"{name}:model"), silent)


def test_a_frame_has_the_declared_names_and_says_what_is_missing_or_unseen() -> None:
    second = InputColumn("city_2", is_category=True, field="city")
    first = InputColumn("city", is_category=True, words={1.0: "Oslo"}, field="city")
    matrix = np.array([[1.0, 1.0, 9.0], [np.nan, 2.0, 9.0], [0.1, np.nan, 9.0]], dtype=np.float32)
    frame = to_frame(matrix, (COLUMNS[0], first, second))
    assert list(frame.columns) == ["age", "city"]
    assert frame["city"].tolist() == ["Oslo", UNSEEN_WORD, MISSING_WORD]
    assert frame["age"].dtype == np.float64
    assert frame["age"].iloc[2] == np.float32(0.1)
    assert np.isnan(frame["age"].iloc[1])
