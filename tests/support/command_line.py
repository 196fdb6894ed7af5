"""The command line, run in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs the command line as people do: a process, an environment, an empty folder."""


def command_in(folder: Path) -> Command:
    """Commands whose files are all in one folder."""

    def run(*arguments: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": f"sqlite:///{folder}/var/understudy.db",
            "COLUMNS": "100",
            **variables,
        }
        return subprocess.run(
            [sys.executable, "-m", "understudy", *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
