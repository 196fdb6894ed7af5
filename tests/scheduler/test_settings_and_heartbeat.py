"""Settings name their remedy and hide their secrets; the heartbeat says who is alive."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import usecases
from scheduler.healthcheck import heartbeat_file, problem
from scheduler.heartbeat import HeartbeatFile, check_place, read_beat
from scheduler.settings import load_settings
from shared.clock import MICROS_PER_SECOND, SystemClock
from shared.errors import SettingsError
from tests.scheduler.fakes import SettableClock


@pytest.mark.parametrize(
    ("name", "value"),
    [("LATENCY_BUDGET_MS", "fast"), ("API_URL", "not a url"), ("CONFIG_POLL_SECONDS", "60")],
)
def test_a_setting_that_does_not_parse_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: .*; set it to a valid value or unset it"):
        load_settings()


def test_a_database_password_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@host/db")
    settings = load_settings()
    assert "hunter2" not in repr(settings)
    assert "hunter2" in settings.database_url.get_secret_value()


def test_a_fresh_heartbeat_is_healthy_and_an_old_or_missing_one_is_not(tmp_path: Path) -> None:
    path, clock = tmp_path / "var" / "beat", SettableClock()
    assert problem(path, clock) == f"no heartbeat in {path}"
    HeartbeatFile(path, clock, max_age_seconds=60).beat()
    clock.move(59 * MICROS_PER_SECOND)
    assert problem(path, clock) is None
    clock.move(2 * MICROS_PER_SECOND)
    assert problem(path, clock) == "the last heartbeat is 61 s old"
    clock.move(-122 * 1_000_000)
    assert "61 s in the future" in str(problem(path, clock))
    assert os.listdir(path.parent) == ["beat"]  # noqa: PTH208 - also hidden files


def test_a_file_that_is_no_heartbeat_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    check_place(path)
    path.write_text("mine\n")
    with pytest.raises(SettingsError, match=r"HEARTBEAT_FILE: .* is not a heartbeat"):
        check_place(path)
    assert path.read_text() == "mine\n"
    path.unlink()
    HeartbeatFile(path, SettableClock(), 60).beat()
    check_place(path)
    for left_by_a_power_cut in (b"", bytes(45)):
        path.write_bytes(left_by_a_power_cut)
        check_place(path)


@pytest.mark.parametrize("content", ["", "1 2", "soon 2026-01-01T00:00:00Z 60", "1 x never"])
def test_a_damaged_heartbeat_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "beat"
    path.write_text(content)
    assert read_beat(path) is None


def test_the_health_check_loads_no_settings_where_the_environment_names_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "beat"
    HeartbeatFile(path, SystemClock(), 60).beat()
    script = (
        "import sys; from scheduler.healthcheck import main; status = main(); "
        "print(status, *{'pydantic', 'sqlalchemy', 'scheduler.settings'} & set(sys.modules))"
    )
    run = partial(subprocess.run, (sys.executable, "-c", script), capture_output=True, text=True)
    found = run(env={**os.environ, "HEARTBEAT_FILE": str(path)}, timeout=60, check=True)
    assert found.stdout == "0\n"
    found = run(env={**os.environ, "HEARTBEAT_FILE": f"{path}-none"}, timeout=60, check=True)
    assert found.stdout == "1\n"
    assert found.stderr == f"no heartbeat in {path}-none\n"


def test_without_a_file_in_the_environment_the_health_check_reads_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HEARTBEAT_FILE", raising=False)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    assert heartbeat_file() == tmp_path / "scheduler.heartbeat"


def test_a_use_case_that_is_not_there_is_told_before_anything_starts() -> None:
    usecases.check_learning(usecases.DEFAULT)
    with pytest.raises(SettingsError, match=r"no module usecases\.nothing\.learning"):
        usecases.check_learning("nothing")
