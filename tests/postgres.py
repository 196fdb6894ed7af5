"""A real PostgreSQL server that lives as long as it is needed; only its socket is open."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from shared.tables.engine import connect


@dataclass(frozen=True)
class Postgres:
    """A running server, reached through a socket in `folder` only."""

    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql://tester@/{database}?host={self.folder}"

    def new_database(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        admin = create_engine(
            self.url("postgres").replace("postgresql:", "postgresql+psycopg:"),
            isolation_level="AUTOCOMMIT",
        )
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        return self.url(name)


def _server_binary(name: str) -> str | None:
    found = shutil.which(name)
    if found:
        return found
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(newest[-1]) if newest else None


def _unprivileged_user() -> str | None:
    """The server refuses to run as root; anybody else may run it."""
    return "nobody" if os.geteuid() == 0 else None


def is_installed() -> bool:
    return None not in {_server_binary("initdb"), _server_binary("postgres")}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if not is_installed():
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have PostgreSQL server binaries; install postgresql")
        pytest.skip("PostgreSQL server binaries are not on this machine")
    with running_postgres() as server:
        yield server


@contextmanager
def running_postgres(*settings: str) -> Iterator[Postgres]:
    """A fresh server in a separate folder, with these settings, gone when the block ends."""
    initdb, server = _server_binary("initdb"), _server_binary("postgres")
    if initdb is None or server is None:
        raise FileNotFoundError("PostgreSQL server binaries are not on this machine")
    user = _unprivileged_user()
    # Not tmp_path: the path of a socket may have 107 characters, and root's are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if user:
            shutil.chown(folder, user)
        yield from _running(folder, initdb, server, user, settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _running(
    folder: Path, initdb: str, server: str, user: str | None, settings: Sequence[str]
) -> Iterator[Postgres]:
    data = folder / "data"
    subprocess.run(
        [
            initdb,
            "-D",
            data,
            "-U",
            "tester",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    all_settings = ("listen_addresses=", "fsync=off", *settings)
    process = subprocess.Popen(
        [server, "-D", str(data), "-k", str(folder), *(f"-c{each}" for each in all_settings)],
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_answers(Postgres(folder))
        yield Postgres(folder)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_it_answers(server: Postgres) -> None:
    engine = connect(server.url("postgres"))
    for _ in range(200):
        try:
            with engine.connect():
                break
        except OperationalError:
            time.sleep(0.05)
    engine.dispose()
