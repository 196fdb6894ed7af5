"""The parent's side of the smoke test: start the child, limit it, read its verdict."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import api
from api.smoke import ALLOW_PICKLE
from shared.errors import ModelLoadError
from shared.telemetry import SWITCHES

_ROOT = Path(api.__file__).resolve().parent.parent


class SmokeTest(Protocol):
    def run(self, raw: bytes) -> float | None:
        """Load and score a bundle away from the service; tells the seconds a row took, if known.

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
            limits = (str(self.memory_bytes), str(math.ceil(self.timeout_seconds)))
            flags = [ALLOW_PICKLE] if self.allow_pickle else []
            return self._run(
                [sys.executable, "-m", "api.smoke", str(path), *limits, *flags], folder
            )

    def _run(self, command: list[str], folder: str) -> float | None:
        # No setting and no secret of the service goes into the child.
        ours = {"PYTHONPATH": str(_ROOT), "HOME": folder, "OMP_NUM_THREADS": "1"}
        environment = {**SWITCHES, **ours}
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            output, _ = child.communicate(timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise ModelLoadError(
                f"the model did not load and score within {self.timeout_seconds:g} s"
            ) from error
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
        return _judge(child.returncode, output)


def _judge(returncode: int, output: bytes) -> float | None:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        raise ModelLoadError(f"the model's test process was ended by {name}")
    try:
        told = json.loads(output)
        problem, row_seconds = told["problem"], told.get("row_seconds")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(
            f"the model's test process ended with status {returncode} and no verdict"
        ) from error
    if problem is not None:
        raise ModelLoadError(str(problem))
    return None if row_seconds is None else float(row_seconds)
