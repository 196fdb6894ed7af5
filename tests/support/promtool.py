"""promtool and the folder of the monitoring files."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MONITORING = Path("monitoring")


def tool(name: str) -> str:
    """Where a tool of Debian's `prometheus` or `prometheus-alertmanager` is.

    On a developer's machine a test without it is skipped; where CI says that it is one, it fails.
    """
    found = shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is missing: apt-get install prometheus prometheus-alertmanager")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def promtool_check_metrics(text: str) -> None:
    """The linter of names and types has nothing to say."""
    command = [tool("promtool"), "check", "metrics"]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
