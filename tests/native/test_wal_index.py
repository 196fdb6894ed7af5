"""The look at SQLite's shared memory: notices every commit, and leaves its locks alone."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from native.catalogue import WAL_INDEX
from native.parts import Part
from native.sqlite_library import LIBRARY, SqliteConnection
from native.wal_index import _HEADER, UnknownFormat, WalIndex, _check_header
from shared.errors import DataUnavailable
from shared.features.fetch import SqliteFetch
from shared.tables.engine import connect

# SQLite's "dead man switch": whoever uses the shared memory holds a shared lock on this byte
_ASK_FOR_LOCK = """
import fcntl, os, struct, sys
form = "hhqqi4x"
asked = struct.pack(form, fcntl.F_WRLCK, os.SEEK_SET, 128, 1, 0)
told = fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_GETLK, asked)
print(struct.unpack(form, told)[0] == fcntl.F_RDLCK)
"""


def switched_off() -> Part:
    return Part("wal-index", without="", switched_off=lambda: "all")


@pytest.mark.coupling
@pytest.mark.parametrize(
    "part", [pytest.param(WAL_INDEX, id="native"), pytest.param(switched_off(), id="pure")]
)
def test_a_commit_of_anybody_is_noticed_once(tmp_path: Path, part: Part) -> None:
    engine, elsewhere = (connect(f"sqlite:///{tmp_path}/a.db") for _ in range(2))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (name TEXT)"))
    fetch = SqliteFetch(engine, part)
    assert fetch.changed()
    assert not fetch.changed()
    for _ in range(3):
        with elsewhere.begin() as connection:
            connection.execute(text("INSERT INTO things VALUES ('one')"))
        assert fetch.changed()
        assert not fetch.changed()


@pytest.mark.coupling
def test_looking_leaves_the_locks_of_this_process_in_place(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/a.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (name TEXT)"))
    fetch = SqliteFetch(engine)
    fetch.changed()
    fetch.changed()
    command = [sys.executable, "-c", _ASK_FOR_LOCK, f"{tmp_path}/a.db-shm"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True"


def test_without_a_wal_index_the_pragma_tells(tmp_path: Path) -> None:
    engine, elsewhere = (create_engine(f"sqlite:///{tmp_path}/a.db") for _ in range(2))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (name TEXT)"))
    fetch = SqliteFetch(engine)
    assert fetch.changed()
    assert not fetch.changed()
    with elsewhere.begin() as connection:
        connection.execute(text("INSERT INTO things VALUES ('one')"))
    assert fetch.changed()
    assert not fetch.changed()
    assert not (tmp_path / "a.db-shm").exists()


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable):
        SqliteFetch(connect(f"sqlite:///{tmp_path}")).changed()


HEADER = _HEADER.pack(3_007_000, 0, 7, 1, 0, 4_096) + bytes(32)


@pytest.mark.coupling
@pytest.mark.parametrize("page_bytes", [512, 4_096, 65_536])
def test_the_header_of_this_sqlite_is_the_documented_one(tmp_path: Path, page_bytes: int) -> None:
    with sqlite3.connect(tmp_path / "a.db") as raw:
        raw.execute(f"PRAGMA page_size = {page_bytes}")
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE things (name TEXT)")
    assert LIBRARY is not None
    assert WalIndex(SqliteConnection(LIBRARY, f"{tmp_path}/a.db")).changed()


@pytest.mark.parametrize(
    ("at", "value"), [(0, b"\x01"), (12, b"\x00"), (14, b"\x02")], ids=["version", "init", "page"]
)
def test_another_header_is_not_believed(at: int, value: bytes) -> None:
    _check_header(HEADER, 4_096)
    changed = HEADER[:at] + value + HEADER[at + len(value) :]
    with pytest.raises(UnknownFormat, match="WAL index says version"):
        _check_header(changed, 4_096)
