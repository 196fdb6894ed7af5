"""Runs the command line as people do: a process, an environment, an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import Command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def understudy(tmp_path: Path) -> Command:
    def run(*arguments: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": f"sqlite:///{tmp_path}/var/understudy.db",
            "COLUMNS": "100",
            **variables,
        }
        return subprocess.run(
            [sys.executable, "-m", "understudy", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
