import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.settings import Settings
from tests.api.server import Running

ROOT = Path(__file__).parent.parent.parent


def start(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.main"], cwd=folder, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "http"),
        ("SCORING_AUTH", "maybe"),
        ("DATABASE_URL", "mysql://u:pw@host/db"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite://var/x.db"),
        ("DATABASE_URL", "postgresql://u:pw@db1.invalid:port/name"),
        ("DATABASE_URL", "sqlite:///."),
    ],
)
def test_a_bad_setting_is_named_with_a_remedy_and_ends_the_start(
    tmp_path: Path, name: str, value: str
) -> None:
    done = start(tmp_path, **{name: value})
    assert done.returncode == 2
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert "pw" not in done.stderr


def test_settings_show_no_password_and_cannot_be_changed() -> None:
    settings = Settings(database_url=SecretStr("postgresql://u:pw@host/db"))
    assert "pw" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.__setattr__("api_port", 1)


def test_a_second_service_on_the_same_journal_does_not_start(settings: Settings) -> None:
    with Running(settings):
        done = start(
            settings.journal_dir.parent,
            API_PORT="0",
            DATABASE_URL=settings.database_url.get_secret_value(),
            JOURNAL_DIR=str(settings.journal_dir),
            KEYS_DIR=str(settings.keys_dir),
        )
    assert done.returncode == 3
    assert "JOURNAL_DIR: another process writes" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_port_that_is_taken_is_named_with_a_remedy(settings: Settings) -> None:
    with Running(settings) as server:
        folder = settings.journal_dir.parent / "second"
        folder.mkdir()
        done = start(folder, API_PORT=server.url.rpartition(":")[2])
    assert done.returncode == 2
    assert "API_HOST, API_PORT: cannot listen" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
