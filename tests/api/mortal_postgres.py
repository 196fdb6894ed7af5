"""A real PostgreSQL server that a test may kill and start again."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.postgres import Postgres, _server_binary, _unprivileged_user, _wait_until_it_answers


class MortalPostgres:
    """`with MortalPostgres() as server: server.kill(); server.start()`."""

    def __init__(self) -> None:
        self._user = _unprivileged_user()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "MortalPostgres":
        # Not tmp_path: the path of a socket may have 107 characters, and root's are closed.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        if self._user:
            shutil.chown(self._folder, self._user)
        initdb = [str(_server_binary("initdb")), "-D", "data", "-U", "tester", "-A", "trust"]
        subprocess.run(
            [*initdb, "--no-sync", "-E", "UTF8", "--locale=C"], check=True, user=self._user,
            cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def server(self) -> Postgres:
        return Postgres(self._folder)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(_server_binary("postgres")), "-D", "data", "-k", str(self._folder),
             "-c", "listen_addresses=", "-c", "fsync=off"],
            user=self._user, cwd=self._folder, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _wait_until_it_answers(self.server)

    def kill(self) -> None:
        """SIGKILL to the server and every process of it."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
