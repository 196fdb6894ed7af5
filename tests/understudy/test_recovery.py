"""Everything is lost and restored, by the commands that docs/operations/backup.md shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.recovery import BARS, Rehearsal
from benchmarks.report import meets
from shared.keys.store import KeyStore
from tests.support.command_line import ROOT, Command
from tests.support.existing_database import make_database

PAGE = (ROOT / "docs" / "operations" / "backup.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if "understudy" in line and not line.startswith("docker")
]


def test_the_commands_of_the_page_do_what_it_says(understudy: Command, tmp_path: Path) -> None:
    make_database(tmp_path)
    assert understudy("schedule", "set", "2D").returncode == 0
    KeyStore(tmp_path / "var" / "keys").ensure_signing_key()
    assert len(COMMANDS) == 5
    for line in COMMANDS:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        shown = re.sub(r"\bunderstudy (?=[a-z])", f"{sys.executable} -m understudy ", line)
        done = subprocess.run(
            ["bash", "-euc", shown],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    for name in ("rehearsal", "restored"):
        assert (tmp_path / name / "keys" / "signing" / "ed25519.pem").is_file()
        shown_there = understudy(
            "schedule", "show", DATABASE_URL=f"sqlite:///{tmp_path}/{name}/understudy.db"
        )
        assert "2D" in shown_there.stdout


def test_a_refusal_is_one_sentence_and_status_2(understudy: Command, tmp_path: Path) -> None:
    (tmp_path / "text.backup").write_text("hello")
    done = understudy("restore", "text.backup")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "not an archive of" in done.stderr


@pytest.mark.slow
def test_what_was_acknowledged_is_there_and_the_same_version_answers_after_everything_was_lost(
    tmp_path: Path,
) -> None:
    figures = Rehearsal(tmp_path).run(rows=4_000)
    # speed is for the benchmark; this machine may be busy
    bars = {name: bar for name, bar in BARS.items() if not name.endswith("seconds")}
    assert meets(figures, bars), figures
    assert figures["answered_before_the_backup"] > 100
