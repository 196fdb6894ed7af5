"""`understudy drift` against a bundle and rows on disk: what it tells, and its exit status."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import usecases
from scheduler.cycle.candidates import CandidateStore
from scheduler.drift.baseline import Baseline, encode
from scheduler.drift.bins import ColumnKind
from scheduler.drift.check import DriftLimits
from scheduler.drift.column_baseline import Rows, fit_columns
from scheduler.drift.estimate import Performance, fit_calibration
from scheduler.drift.finding import SHORTEST_SPAN_US
from scheduler.settings import load_settings
from shared.bundle.archive import pack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY, SystemClock, to_datetime
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_decisions
from tests.scheduler.fakes import linear_graph
from tests.support.command_line import Command
from understudy.drift import DRIFT, NO_DRIFT, check_now
from understudy.drift_question import (
    FEWEST_ROWS,
    NOT_CHECKED,
    DriftRequest,
    asked_span,
    tell_not_checked,
    too_little,
)
from understudy.drift_question import SHORTEST_SPAN_US as SHORTEST_ASKED_US

pytestmark = pytest.mark.slow

COMPONENTS = ("classifier", "isolation_forest", "autoencoder")
ROWS, DAYS = 700, 7
ROOT = Path(__file__).parents[2]


def vectors(seed: int, rows: int, names: tuple[str, ...]) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, len(names))).astype("<f4")


def write_bundle(folder: Path, names: tuple[str, ...]) -> None:
    """Version 1.0.0, trained on rows of noise."""
    rows, moment = 20_000, to_datetime(0)
    matrix = vectors(0, rows, names)
    columns = {name: matrix[:, place] for place, name in enumerate(names)}
    learned = Rows(columns, np.arange(rows) * 60 // rows)
    scores, known = np.random.default_rng(1).random(rows), np.random.default_rng(2).random(rows)
    baseline = Baseline(
        columns=fit_columns([learned], dict.fromkeys(names, ColumnKind.NUMBER)),
        label_delay_us=0,
        calibration=fit_calibration(scores, known < scores),
        held_out=Performance(rows, rows // 2, 0.8, 0.7),
    )
    inputs, outputs = served_signature(len(names), len(COMPONENTS))
    manifest = Manifest(
        model_name="fraud",
        version="1.0.0",
        created_at=moment,
        use_case="fraud",
        frameworks={},
        python_version="3.11",
        components=COMPONENTS,
        feature_names=names,
        feature_set_version=usecases.load_learning("fraud").feature_set.version,
        inputs=inputs,
        outputs=outputs,
        thresholds={},
        hyperparameters={},
        metrics={},
        training_data=TrainingData(
            rows=rows,
            positives=rows // 2,
            window_start=moment,
            window_end=moment + timedelta(days=60),
            sha256="0" * 64,
        ),
        description="noise",
    )
    raw = pack(
        manifest,
        {"model.onnx": linear_graph([0.1] * len(names)), "baseline.json": encode(baseline)},
    )
    CandidateStore(folder, keep=3).save_bundle(Version.parse("1.0.0"), raw)


def serve(database_url: str, names: tuple[str, ...], shift: float, days: float = DAYS) -> None:
    """A week of scored rows that ends now; the first feature is shifted."""
    matrix = vectors(3, ROWS, names)
    matrix[:, 0] += shift
    now_us = SystemClock().now_us()
    rows = [
        {
            "transaction_id": str(place),
            "user_id": "u",
            "event_time": now_us - round((ROWS - place) / ROWS * days * MICROS_PER_DAY),
            "ingested_at": now_us - MICROS_PER_DAY * DAYS,
            "amount": 1.0,
            "currency": "EUR",
            "merchant_id": "m",
            "transaction_type": "purchase",
            "component_scores": dict.fromkeys(COMPONENTS, 0.1),
            "model_version": "1.0.0",
            "feature_set_version": usecases.load_learning("fraud").feature_set.version,
            "feature_vector": matrix[place].tobytes(),
        }
        for place in range(ROWS)
    ]
    make_tables(database_url)
    engine = connect(database_url)
    with engine.begin() as connection:
        write_decisions(connection, rows)
    engine.dispose()


def check(request: DriftRequest) -> int:
    """As the command does: counts first, then the comparison."""
    settings = load_settings()
    span = asked_span(request, settings.drift_window_days)
    reason = too_little(request, settings, span)
    if reason is not None:
        return tell_not_checked(reason, as_json=request.as_json)
    return check_now(request, settings, span)


@pytest.fixture
def names() -> tuple[str, ...]:
    return usecases.load_learning("fraud").feature_set.names


def make_tables(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    engine.dispose()


@pytest.fixture
def database_url(tmp_path: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/var/understudy.db"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("RETRAINED_MODELS_DIR", str(tmp_path / "retrained_models"))
    write_bundle(tmp_path / "retrained_models", names)
    return url


def test_drift_is_told_as_a_sentence_a_table_and_an_exit_status(
    database_url: str,
    names: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve(database_url, names, shift=0.8)
    request = DriftRequest(None, None, against="1.0.0", html=None, as_json=False)
    assert check(request) == DRIFT
    told = capsys.readouterr().out
    assert told.startswith(f"Yes: {names[0]} has moved away from what 1.0.0 was trained on")
    assert "moved" in told
    assert "average precision estimated without labels" in told


def test_no_drift_ends_with_status_zero_and_too_little_with_three(
    database_url: str,
    names: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    request = DriftRequest(None, None, against="1.0.0", html=None, as_json=True)
    make_tables(database_url)
    assert check(request) == NOT_CHECKED
    said = json.loads(capsys.readouterr().out)
    assert said == {"alarm": None, "checked": False, "reason": "0 rows, 200 are needed"}
    serve(database_url, names, shift=0.0)
    assert check(request) == NO_DRIFT
    assert json.loads(capsys.readouterr().out)["alarm"] is False


def test_the_program_writes_json_and_a_page_and_ends_with_the_status_of_an_alarm(
    understudy: Command, database_url: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    serve(database_url, names, shift=0.8)
    begin = to_datetime(SystemClock().now_us() - 8 * MICROS_PER_DAY).date().isoformat()
    page = tmp_path / "drift.html"
    done = understudy(
        "drift", "--from", begin, "--against", "1.0.0", "--html", page, "--json",
        DATABASE_URL=database_url,
    )  # fmt: skip
    assert done.returncode == DRIFT, done.stderr
    assert json.loads(done.stdout)["drifted"] == [names[0]]
    assert "<svg" in page.read_text()


def test_a_day_that_is_none_is_an_error_that_says_what_to_write(understudy: Command) -> None:
    done = understudy("drift", "--from", "last week")
    assert done.returncode == 2
    assert "2026-11-01" in done.stderr


_HEAVY = ("scipy", "matplotlib", "sklearn", "torch", "onnxruntime", "numba")
_WATCHED = """
import sys
from understudy.cli import app
try:
    app(["drift"])
except SystemExit as ended:
    print(sorted(set(sys.modules) & set({heavy!r})), file=sys.stderr)
    raise
"""


def test_too_few_rows_are_told_without_importing_what_compares(
    database_url: str, tmp_path: Path
) -> None:
    make_tables(database_url)
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED.format(heavy=_HEAVY)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (3, "Not known: 0 rows, 200 are needed.\n")
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_first_look_counts_as_the_comparison_does() -> None:
    assert DriftLimits().min_rows == FEWEST_ROWS
    assert SHORTEST_ASKED_US == SHORTEST_SPAN_US


def test_rows_of_a_few_hours_are_told_as_such(
    database_url: str, names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(database_url, names, shift=0.0, days=0.1)
    request = DriftRequest(None, None, against="1.0.0", html=None, as_json=False)
    assert check(request) == NOT_CHECKED
    assert "the 700 rows are from 2.4 hours; whole days are compared" in capsys.readouterr().out
