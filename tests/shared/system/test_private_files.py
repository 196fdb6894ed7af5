"""What a service writes is for its own user, whatever the shell that started it allows."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shared.system.files import close_to_others

ROOT = Path(__file__).parents[3]


def modes_below(folder: Path) -> set[tuple[str, str]]:
    return {
        ("folder" if each.is_dir() else "file", oct(stat.S_IMODE(each.stat().st_mode)))
        for each in folder.rglob("*")
        if not each.is_symlink()
    }


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_command_that_stores_rows_makes_nothing_that_others_can_read(
    tmp_path: Path, umask: int
) -> None:
    subprocess.run(
        [sys.executable, "-m", "understudy", "seed", "--customers", "10", "--days", "30"],
        cwd=tmp_path, umask=umask, check=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": "sqlite:///var/x/rows.db"},
    )  # fmt: skip
    assert modes_below(tmp_path / "var") == {("folder", "0o700"), ("file", "0o600")}


@pytest.mark.slow
def test_a_service_makes_nothing_that_others_can_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api.main"]
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path),
        "API_PORT": "0", "LOG_FILE": "var/logs/api.log", "SCORING_AUTH": "on",
    }  # fmt: skip
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, umask=0, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        for line in service.stdout:
            if "started " in line:
                break
        service.terminate()
        service.stdout.read()
    assert (tmp_path / "var" / "logs" / "api.log").stat().st_size
    assert modes_below(tmp_path / "var") == {("folder", "0o700"), ("file", "0o600")}


def test_a_log_of_an_older_version_is_closed_to_everybody_and_stays_open_to_its_group(
    tmp_path: Path,
) -> None:
    log = tmp_path / "old.log"
    log.touch()
    log.chmod(0o664)
    close_to_others(log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o660
