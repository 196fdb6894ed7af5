"""A SQLite file that is removed, replaced or emptied while it is in use is left at once."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.errors import DataUnavailable
from shared.tables.engine import connect, file_of, lasting_transaction, migrate
from shared.tables.sqlite_file import SqliteFile
from tests.support.database_files import (
    ADD,
    add,
    emptied,
    removed,
    removed_with_all_beside_it,
    replaced,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "understudy.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{path}")
    migrate(made)
    add(made, "before")
    yield made
    made.dispose()


COUNT = text("SELECT count(*) FROM featuresconfig")


def names(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT featurename FROM featuresconfig")))


def removed_with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def moved_away(path: Path) -> None:
    path.rename(path.with_name("taken.db"))


WAYS = (removed, removed_with_all_beside_it, removed_with_its_folder, moved_away, replaced, emptied)


@pytest.mark.parametrize("happens", WAYS)
def test_what_is_stored_afterwards_is_in_the_file_that_others_open(
    engine: Engine, path: Path, happens: Callable[[Path], None]
) -> None:
    with engine.connect() as held:
        held.execute(COUNT)
        happens(path)
        migrate(engine)
        add(engine, "after")
    later = connect(f"sqlite:///{path}")
    assert names(later) == ["after"]
    assert names(engine) == ["after"]
    with later.connect() as connection:
        assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    later.dispose()


@pytest.mark.parametrize("happens", WAYS)
def test_a_transaction_during_which_it_happens_has_failed(
    engine: Engine, path: Path, happens: Callable[[Path], None]
) -> None:
    def store() -> None:
        with lasting_transaction(engine) as connection:
            connection.execute(ADD, {"name": "during"})
            happens(path)

    with pytest.raises(DataUnavailable, match="removed or replaced meanwhile"):
        store()
    migrate(engine)
    assert names(engine) == []


def test_another_process_that_has_it_open_finds_the_new_file_too(path: Path) -> None:
    engines = [connect(f"sqlite:///{path}") for _ in range(3)]
    migrate(engines[0])
    for engine in engines:
        add(engine, f"before {engines.index(engine)}")
    path.unlink()
    migrate(engines[0])
    for number, engine in enumerate(engines):
        add(engine, f"after {number}")
    assert {tuple(names(engine)) for engine in engines} == {("after 0", "after 1", "after 2")}


def test_the_log_of_a_removed_file_is_kept_aside_and_not_taken_for_the_new_ones(
    engine: Engine, path: Path
) -> None:
    path.rename(path.with_name("taken.db"))
    migrate(engine)
    (log,) = path.parent.glob("understudy.db-wal.of-removed-*")
    log.rename(path.with_name("taken.db-wal"))
    with sqlite3.connect(path.with_name("taken.db")) as taken:
        assert taken.execute("SELECT featurename FROM featuresconfig").fetchall() == [("before",)]


def test_a_look_tells_once_and_counts(engine: Engine, path: Path) -> None:
    file = file_of(engine)
    assert file is not None
    file.watch()
    assert (file.generation, file.changed_at) == (0, None)
    path.unlink()
    file.watch()
    file.watch()
    assert file.generation == 1
    assert file.changed_at is not None


def test_files_are_closed_to_other_users(engine: Engine, path: Path) -> None:
    names(engine)
    files = [each for each in path.parent.iterdir() if each.is_file()]
    assert len(files) >= 3
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_files_of_an_older_version_are_closed_to_other_users(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    sqlite3.connect(path).execute("CREATE TABLE t (a)")
    path.chmod(0o644)
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


READS_FOREVER = """
import sys, time
from sqlalchemy import text
from shared.tables.engine import connect, file_of
engine = connect(f"sqlite:///{sys.argv[1]}")
with engine.connect() as connection:
    query = text("SELECT count(*) FROM featuresconfig")
    connection.execute(query)
    print("open", flush=True)
    sys.stdin.readline()
    file_of(engine).watch()
    print(connection.execute(query).scalar(), flush=True)
"""


def test_shared_memory_that_was_cut_short_is_mended_before_anybody_looks(
    engine: Engine, path: Path
) -> None:
    add(engine, "second")
    command = [sys.executable, "-c", READS_FOREVER, str(path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=Path.cwd()) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        os.truncate(f"{path}-shm", 0)
        SqliteFile.watch(watching(path))
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "2\n"
    add(engine, "third")
    assert len(names(engine)) == 3


def watching(path: Path) -> SqliteFile:
    file = SqliteFile(str(path))
    assert file.opened(file.look())
    return file


def test_a_start_beside_shared_memory_that_was_cut_short_works(engine: Engine, path: Path) -> None:
    engine.dispose()
    Path(f"{path}-shm").write_bytes(b"")
    fresh = connect(f"sqlite:///{path}")
    migrate(fresh)
    add(fresh, "after")
    assert len(names(fresh)) == 2
    fresh.dispose()
