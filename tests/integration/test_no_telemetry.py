"""Nothing we start writes below the home folder or speaks to another machine on its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import usecases
from benchmarks.services import REPOSITORY, Services
from benchmarks.small_world import write_small_world
from shared.clock import SystemClock
from shared.tables.runs import RunStatus
from shared.telemetry import SWITCHES
from tests.support.outside_calls import STRACE, OutsideCalls

# A list of the fonts of this machine, made by matplotlib; it is sent nowhere.
FONT_LIST = "matplotlib/fontlist-"
# Everything the services import (requirements/*.txt), by the name that is imported.
DEPENDENCIES = (
    "alembic", "apscheduler", "cel_expr_python", "cloudpickle", "cronsim", "cryptography",
    "fastapi", "filelock", "httptools", "httpx", "jinja2", "matplotlib.pyplot", "mlflow", "numba",
    "numpy", "onnx", "onnxruntime", "orjson", "pandera.polars", "polars", "prometheus_client",
    "google.protobuf", "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.trace.export", "psycopg", "pyarrow", "pydantic", "pydantic_settings",
    "requests", "rich", "scipy",
    "sklearn.ensemble", "sqlalchemy", "structlog", "threadpoolctl", "torch", "typer", "uvicorn",
    "uvloop",
)  # fmt: skip
ROWS, PATIENCE_SECONDS = 4_000, 240
needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed")


def stray_files(calls: OutsideCalls) -> set[str]:
    return {name for name in calls.files() if FONT_LIST not in name}


def clean_environment(calls: OutsideCalls) -> dict[str, str]:
    """As a person's shell: the switches are not set yet, and nothing says that this is CI.

    onnxruntime keeps still on its own where `CI` is set.
    """
    unset = {*SWITCHES, "CI"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **calls.environment}


def run(calls: OutsideCalls, *arguments: str, wrapper: tuple[str, ...] = ()) -> None:
    subprocess.run(
        [*wrapper, sys.executable, *arguments],
        cwd=REPOSITORY,
        env=clean_environment(calls),
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        check=True,
    )


def test_the_runtime_for_models_leaves_nothing_in_an_empty_home(tmp_path: Path) -> None:
    calls = OutsideCalls(tmp_path)
    run(calls, "-c", "import shared.scoring.session, time; time.sleep(0.5)")
    assert calls.files() == set()


def test_without_the_switch_it_would_have_been_seen(tmp_path: Path) -> None:
    calls = OutsideCalls(tmp_path)
    run(calls, "-c", "import onnxruntime, time; time.sleep(0.5)")
    if importlib.util.find_spec("onnxruntime") is not None:
        assert any("onnxruntime" in name for name in calls.files())


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("name", DEPENDENCIES)
def test_no_dependency_phones_home_when_it_is_imported(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(name.split(".", maxsplit=1)[0]) is None:
        pytest.skip("not installed here")
    calls = OutsideCalls(tmp_path)
    run(calls, "-c", f"import shared, {name}, time; time.sleep(1)", wrapper=calls.wrapper)
    assert (stray_files(calls), calls.addresses()) == (set(), set())


@pytest.mark.slow
@needs_strace
def test_a_whole_start_with_a_training_phones_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # compiled before: under strace, on a busy machine, that takes minutes
    usecases.load_serving(usecases.DEFAULT).warm_up()
    calls = OutsideCalls(tmp_path / "calls")
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    with Services(tmp_path, calls.wrapper, **calls.environment) as services:
        write_small_world(services.engine, SystemClock().now_us(), ROWS)
        services.start_api()
        services.start("scheduler")
        first = services.wait_for_run(timeout_seconds=PATIENCE_SECONDS)
        assert first.status is RunStatus.SUCCEEDED, f"{first.message}\n{services.log_ends()}"
        services.stop("scheduler")
        services.stop("api")
    assert calls.saw_anything()
    assert (stray_files(calls), calls.addresses()) == (set(), set())


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("command", ["--help", "policy check", "seed --customers 20 --days 20"])
def test_the_command_line_phones_nobody(command: str, tmp_path: Path) -> None:
    calls = OutsideCalls(tmp_path / "calls")
    environment = {
        **clean_environment(calls),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'understudy.db'}",
        "KEYS_DIR": str(tmp_path / "keys"),
    }
    subprocess.run(
        [*calls.wrapper, sys.executable, "-m", "understudy", *command.split()],
        cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS, check=True,
    )  # fmt: skip
    assert (stray_files(calls), calls.addresses()) == (set(), set())
