"""A real PgBouncer in transaction mode before a real PostgreSQL, as long as it is needed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.postgres import Postgres

_PLACES = ("/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer")


@dataclass(frozen=True)
class Pooler:
    """Reached through a socket in `folder` only."""

    folder: Path
    port: int

    def through(self, url: str, **options: str) -> str:
        """The URL of a database behind it."""
        name = make_url(url).database
        extra = "".join(f"&{key}={value}" for key, value in options.items())
        return f"postgresql://tester@/{name}?host={self.folder}&port={self.port}{extra}"


def pgbouncer_binary() -> str:
    found = shutil.which("pgbouncer") or next(filter(os.path.exists, _PLACES), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have PgBouncer; install pgbouncer")
        pytest.skip("PgBouncer is not on this machine")
    return found


@contextmanager
def running_pooler(postgres: Postgres, *settings: str) -> Iterator[Pooler]:
    """In transaction mode with two server connections, so that clients share them at once."""
    binary = pgbouncer_binary()
    # Not tmp_path: see tests/postgres.py.
    folder = Path(tempfile.mkdtemp(prefix="pgb-"))
    pooler = Pooler(folder, _free_port())
    (folder / "users.txt").write_text('"tester" ""\n')
    (folder / "pgbouncer.ini").write_text(_configuration(postgres, pooler, settings))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    process = subprocess.Popen(
        [binary, "-q", str(folder / "pgbouncer.ini")], user=user, cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(folder / f".s.PGSQL.{pooler.port}", process)
        yield pooler
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _configuration(postgres: Postgres, pooler: Pooler, settings: tuple[str, ...]) -> str:
    return "\n".join([
        "[databases]", f"* = host={postgres.folder} user=tester",
        "[pgbouncer]", "listen_addr =", f"listen_port = {pooler.port}",
        f"unix_socket_dir = {pooler.folder}", "auth_type = any",
        f"auth_file = {pooler.folder}/users.txt", "pool_mode = transaction",
        "default_pool_size = 2", "max_client_conn = 100", *settings, "",
    ])  # fmt: skip


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        if path.exists():
            return
        assert process.poll() is None, "PgBouncer has ended; see its log"
        time.sleep(0.05)
    raise AssertionError("PgBouncer did not open its socket in time")
