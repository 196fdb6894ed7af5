"""The API in a separate process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def start(folder: Path, **changes: Any) -> tuple[subprocess.Popen[str], str]:
    """`changes`: settings that differ from those of every test."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.api.tiny_server", str(folder), json.dumps(changes)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    return child, child.stdout.readline().strip()
