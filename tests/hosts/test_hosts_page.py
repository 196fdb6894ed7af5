"""docs/operations/hosts.md: its commands, as they stand."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.hosts_world import haproxy
from shared.tables.engine import connect, migrate
from tests.support.journals import decided, journal_of
from tests.support.pages import ROOT, commands_of

PAGE = "docs/operations/hosts.md"
SECRETS = (
    "POSTGRES_PASSWORD", "REPLICATION_PASSWORD", "STORE_ACCESS_KEY_ID", "STORE_SECRET_ACCESS_KEY",
)  # fmt: skip
COMPOSE_RUNS = "docker compose -f deploy/compose/hosts.yml config"


def typed(text: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command of the page, in the root of the repository, with this installation on the path."""
    program = Path(os.sys.executable).parent  # type: ignore[attr-defined]
    path = f"{program}:{os.environ['PATH']}:/usr/sbin"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text.replace("/mnt/api-1", str(folder))],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "COLUMNS": "100", **variables},
    )  # fmt: skip


def commands(begin: str) -> list[str]:
    found = [one.text for one in commands_of(PAGE) if one.text.startswith(begin)]
    assert found
    return found


def test_keys_are_made_and_the_journal_of_a_lost_host_is_drained_as_the_page_says(
    tmp_path: Path,
) -> None:
    (make,) = commands("KEYS_DIR=keys understudy keys make")
    made = typed(make.replace("KEYS_DIR=keys", f"KEYS_DIR={tmp_path}/keys"), tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "keys" / "signing").is_dir()
    journal_of(tmp_path / "journal", decided("t1"), decided("t2"))
    database = f"sqlite:///{tmp_path}/rows.db"
    engine = connect(database)
    migrate(engine)
    engine.dispose()
    look, drain = commands("understudy journal drain")
    assert "2 of kind decision" in typed(look, tmp_path, DATABASE_URL=database).stdout
    drained = typed(drain, tmp_path, DATABASE_URL=database)
    assert drained.returncode == 0, drained.stderr
    assert list((tmp_path / "journal").glob("*.journal")) == []


@pytest.mark.skipif(
    haproxy() is None and os.environ.get("CI") != "true", reason="haproxy is not on this machine"
)
def test_the_configuration_of_haproxy_is_checked_as_the_page_says(tmp_path: Path) -> None:
    (check,) = commands("haproxy -c")
    places = {"API_1": "127.0.0.1:81", "API_2": "127.0.0.1:82"}
    done = typed(check, tmp_path, **places)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not on this machine")
def test_the_compose_file_of_the_page_is_one_and_asks_for_every_secret(tmp_path: Path) -> None:
    (config,) = commands(COMPOSE_RUNS)
    done = typed(config, tmp_path, **dict.fromkeys(SECRETS, "made-up"))
    assert done.returncode == 0, done.stderr
    for secret in SECRETS:
        others = {name: "" if name == secret else "made-up" for name in SECRETS}
        refused = typed(config, tmp_path, **others)
        assert refused.returncode != 0
        assert secret in refused.stderr
    example = (ROOT / "deploy" / "compose" / "env.example").read_text()
    assert all(f"{name}=\n" in example for name in SECRETS)
