"""The check of dependencies, with a stand-in for the command that asks the database."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit-dependencies"
SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE = {
    "name": "old", "version": "1.0", "vulns": [{"id": "CVE-2024-1", "fix_versions": ["1.1"]}],
}  # fmt: skip


def audit(folder: Path, output: str) -> "subprocess.CompletedProcess[str]":
    (folder / "answer").write_text(output)
    command = folder / "pip-audit"
    command.write_text(f"#!/bin/sh\ncat '{folder}/answer'\n")
    command.chmod(0o755)
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(command)], capture_output=True, text=True, check=False
    )


def answer(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_vulnerability_fails_and_names_the_remedy(tmp_path: Path) -> None:
    done = audit(tmp_path, answer(SOUND, VULNERABLE))
    assert done.returncode == 1
    assert "old 1.0: CVE-2024-1, fixed in 1.1" in done.stdout


def test_sound_packages_pass_and_unknown_ones_are_counted(tmp_path: Path) -> None:
    done = audit(tmp_path, answer(SOUND, UNKNOWN))
    assert done.returncode == 0
    assert done.stdout.endswith(
        "0 of 1 packages have known vulnerabilities; 1 are not in its database\n"
    )


@pytest.mark.parametrize("output", ["", "no connection", answer(UNKNOWN), "[]", "{}"])
def test_a_database_that_cannot_be_asked_is_one_line_and_no_failure(
    tmp_path: Path, output: str
) -> None:
    done = audit(tmp_path, output)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
    assert "skipped" in done.stdout
