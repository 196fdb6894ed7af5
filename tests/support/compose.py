"""Containers of a compose file, started and asked as an operator would."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from tests.support.pages import ROOT

T = TypeVar("T")


def require_engine() -> None:
    """Skip where no Docker engine answers; CI has to have one."""
    engine = shutil.which("docker")
    asked = engine and subprocess.run([engine, "info"], capture_output=True, check=False)
    if asked and asked.returncode == 0:
        return
    if os.environ.get("CI"):
        pytest.fail("no Docker engine answers")
    pytest.skip("no Docker engine answers")


@dataclass(frozen=True)
class ComposeStack:
    """One compose file under a project's name of its own.

    Attributes:
        environment: variables of the file, the project's name among them.
    """

    file: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, check: bool = True) -> str:
        """Output of a command of `docker compose`."""
        return self.type_in(f"docker compose -f {self.file} {' '.join(arguments)}", check=check)

    def type_in(self, command: str, *, check: bool = True) -> str:
        """Output of a command as a page shows it, in the root of the repository."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=ROOT, env={**os.environ, **self.environment}, capture_output=True, text=True,
            check=False, timeout=1_800,
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def wait_for(self, what: str, seconds: float, probe: Callable[[], T | None]) -> T:
        """What the probe finds; fails with the ends of all logs when it finds nothing in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = probe()
            if found is not None:
                return found
            time.sleep(1)
        pytest.fail(f"{what}: not within {seconds} s\n{self.run('logs', '--tail', '40')}")

    def states(self) -> dict[str, str]:
        """Of each service: its health, or its state and exit status where none is checked."""
        lines = self.run("ps", "--all", "--format", "json").splitlines()
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return {
            row["Service"]: row["Health"] or f"{row['State']} {row['ExitCode']}" for row in rows
        }
