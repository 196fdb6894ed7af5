"""A reader of the pages: a folder like a fresh clone, an installation, and a running pair."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.services import free_port
from shared.bundle.archive import pack, unpack
from shared.keys.store import KeyStore, sign
from shared.keys.tokens import Role, read_token
from tests.support.pages import ROOT, PageCommand, tracked_files

PATIENCE_SECONDS = 420
_OF_TESTS = frozenset({"VAR_DIR", "USE_CASE", "DATABASE_URL", "KEYS_DIR", "COLUMNS"})


@dataclass
class Reader:
    """Types what the pages say, in a copy of the repository whose installation is prepared."""

    tree: Path
    port: int
    environment: Mapping[str, str]
    words: dict[str, str] = field(default_factory=dict)
    running: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, command: PageCommand | str, expected: frozenset[int] = frozenset({0})) -> str:
        """Run a command that ends; questions are answered by yes."""
        text = self.as_typed(command if isinstance(command, str) else command.text)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.tree, env=self.environment, capture_output=True, text=True,
            input="y\ny\n", timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        said = f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert done.returncode in expected, f"exit status {done.returncode}: {said}{self._log()}"
        assert "Traceback" not in done.stdout + done.stderr, said
        assert "urn:understudy:problem" not in done.stdout, said
        return done.stdout

    def serve(self, command: PageCommand | str, path: str = "/readyz") -> None:
        """Start what runs until Ctrl-C, and wait until a path answers."""
        text = self.as_typed(command if isinstance(command, str) else command.text)
        with (self.tree / "run.log").open("wb") as log:
            self.running = subprocess.Popen(
                ["bash", "-c", text], cwd=self.tree, env=self.environment,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.wait_for(lambda: self._answers(path))

    def stop(self) -> None:
        """Ctrl-C, and nothing is left behind."""
        running, self.running = self.running, None
        if running is None:
            return
        os.killpg(running.pid, signal.SIGINT)
        try:
            running.wait(60)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
        log = self._log()
        assert "Traceback" not in log, log

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.running is None or self.running.poll() is None, self._log()
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.5)

    def as_typed(self, text: str) -> str:
        """The command with this reader's port, and the words that stand for things of his own."""
        text = re.sub(r"(127\.0\.0\.1|localhost):8000", f"127.0.0.1:{self.port}", text)
        for shown, own in self.words.items():
            text = text.replace(shown, own)
        return text

    def version(self) -> str:
        """The live version."""
        return str(httpx.get(f"{self.url}/current_model", timeout=10).json()["version"])

    def push(self, version: str, mode: str = "immediate") -> None:
        """Push the first candidate under another number, as a scheduler would."""
        [first, *_] = sorted(self.tree.glob("retrained_models/*/bundle.zip"))
        bundle = unpack(first.read_bytes())
        raw = pack(bundle.manifest.model_copy(update={"version": version}), bundle.files)
        keys = self.tree / "var" / "keys"
        headers = {
            "Content-Type": "application/octet-stream",
            "Authorization": f"Bearer {read_token(keys, Role.PUSH)}",
            "X-Bundle-Signature": sign(raw, KeyStore(keys).private_key()),
            "X-Rollout": mode,
        }
        pushed = httpx.post(f"{self.url}/update_model", content=raw, headers=headers, timeout=60)
        assert pushed.is_success, pushed.text

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def _log(self) -> str:
        log = self.tree / "run.log"
        return log.read_text(errors="replace")[-6000:] if log.exists() else ""


def reader_in(folder: Path) -> Reader:
    """A reader with a copy of what is tracked, and this Python's packages in its `.venv`."""
    tree = folder / "understudy"
    for path in tracked_files():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
        shutil.copymode(ROOT / path, target)
    _install(tree)
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if name not in _OF_TESTS}
    more = {
        "PATH": f"{tree / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tree),
        "API_PORT": str(port),
        "METRICS_PORT": str(free_port()),
        "ROLLOUT_LOOK_SECONDS": "1",
    }
    return Reader(tree, port, {**kept, **more})


def _install(tree: Path) -> None:
    """A folder that looks like what `make` installs, so that it installs nothing again."""
    venv = tree / ".venv"
    venv.mkdir()
    for path in Path(sys.prefix).iterdir():
        (venv / path.name).symlink_to(path)
    for path in (tree / "requirements").iterdir():
        os.utime(path, (0, 0))
    for name in ("requirements.txt", "pyproject.toml"):
        os.utime(tree / name, (0, 0))
    for marker in (".run", ".dev"):
        (venv / marker).unlink(missing_ok=True)
        (venv / marker).touch()
