"""A reset moves what there was aside, while nobody serves, and deletes nothing."""

import fcntl
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from understudy.cli import app
from understudy.reset import ResetRefused

FOLDERS = {
    "JOURNAL_DIR": "journal",
    "RUN_DIR": "run",
    "PROD_MODELS_DIR": "prod_models",
    "RETRAINED_MODELS_DIR": "retrained_models",
    "TEST_DATA_DIR": "test_data",
    "WORK_DIR": "work",
    "DRIFT_REPORTS_DIR": "drift",
    "KEYS_DIR": "keys",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name in FOLDERS.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text("stays")
        (tmp_path / name / "content").write_text(name)
    (tmp_path / "journal" / "lock").touch()
    (tmp_path / "my.db").write_text("rows")
    (tmp_path / "my.db-wal").write_text("more rows")
    paths = {variable: str(tmp_path / name) for variable, name in FOLDERS.items()}
    return {**paths, "DATABASE_URL": f"sqlite:///{tmp_path}/my.db"}


def test_everything_but_keys_is_moved_aside(tmp_path: Path, environment: dict[str, str]) -> None:
    done = CliRunner().invoke(app, ["reset", "--yes"], env=environment)
    assert done.exit_code == 0, done.output
    [aside] = tmp_path.glob("before-reset-*")
    assert not (tmp_path / "my.db").exists()
    assert (tmp_path / "prod_models" / "README.md").exists()
    assert (tmp_path / "keys" / "content").exists()
    moved = {path.read_text() for path in aside.rglob("*") if path.is_file()}
    assert moved >= {"rows", "more rows", "journal", "prod_models", "retrained_models", "work"}


def test_it_is_refused_while_a_service_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    descriptor = os.open(tmp_path / "journal" / "lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    refused = CliRunner().invoke(app, ["reset", "--yes"], env=environment)
    os.close(descriptor)
    assert isinstance(refused.exception, ResetRefused)
    assert (tmp_path / "my.db").exists()


def test_a_server_is_not_reset(environment: dict[str, str]) -> None:
    url = {"DATABASE_URL": "postgresql://me@localhost/x"}
    refused = CliRunner().invoke(app, ["reset", "--yes"], env={**environment, **url})
    assert isinstance(refused.exception, ResetRefused)


def test_a_person_is_asked(tmp_path: Path, environment: dict[str, str]) -> None:
    assert CliRunner().invoke(app, ["reset"], input="n\n", env=environment).exit_code == 1
    assert (tmp_path / "my.db").exists()
