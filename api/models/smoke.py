"""The parent's side of the smoke test: start the child, limit it, read its verdict."""

import json
import math
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from api.smoke import ALLOW_PICKLE
from shared.errors import ModelLoadError
from shared.system.child_processes import (
    bare_environment,
    how_it_ended,
    kill_child,
    module_command,
    start_child,
)


class SmokeTest(Protocol):
    def run(self, raw: bytes) -> float | None:
        """Load and score a bundle outside the service; returns the seconds a row took, if known.

        Raises:
            ModelLoadError: it does not work, or not within its limits.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChildSmokeTest:
    """Runs `python -m api.smoke` on a private copy of the bundle."""

    timeout_seconds: float
    memory_bytes: int
    allow_pickle: bool = False

    def run(self, raw: bytes) -> float | None:
        with tempfile.TemporaryDirectory(prefix="understudy-smoke-") as folder:
            path = Path(folder) / "bundle.zip"
            path.write_bytes(raw)
            numbers = (self.memory_bytes, math.ceil(self.timeout_seconds), os.getpid())
            flags = [ALLOW_PICKLE] if self.allow_pickle else []
            arguments = (str(path), *map(str, numbers), *flags)
            return self._run(module_command("api.smoke", *arguments), folder)

    def _run(self, command: list[str], folder: str) -> float | None:
        child = start_child(
            command,
            folder=folder,
            environment=bare_environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            output, _ = child.communicate(timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise ModelLoadError(
                f"the model did not load and score within {self.timeout_seconds:g} s"
            ) from error
        finally:
            if child.poll() is None:
                kill_child(child)
                child.communicate()
        return _judge(child.returncode, output)


def _judge(returncode: int, output: bytes) -> float | None:
    if returncode < 0:
        raise ModelLoadError(f"the model's test process {how_it_ended(returncode)}")
    try:
        answer = json.loads(output)
        problem, row_seconds = answer["problem"], answer.get("row_seconds")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(
            f"the model's test process {how_it_ended(returncode)} and no verdict"
        ) from error
    if problem is not None:
        raise ModelLoadError(str(problem))
    return None if row_seconds is None else float(row_seconds)
