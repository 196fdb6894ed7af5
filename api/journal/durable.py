"""What is committed stays committed: flushing files, folders and the database to the disk.

SQLite's WAL with `synchronous = NORMAL` survives the death of a process, and loses the newest
transactions when the power fails. The journal forgets what the database has, so the connections
that drain it, and those that store labels, flush the WAL with every commit.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from shared.system.files import sync_directory

_FULL = ("synchronous = FULL", "fullfsync = ON")


def commit_durably(engine: Engine) -> None:
    """From now on what connections of this engine commit is on disk when that returns."""
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def connected(raw: sqlite3.Connection, _record: object) -> None:
            for pragma in _FULL:
                raw.execute(f"PRAGMA {pragma}")


def insist_on_durable_commit(connection: Connection) -> None:
    """PostgreSQL: also where the URL, the role or the server says `synchronous_commit = off`."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SELECT set_config('synchronous_commit', 'on', true)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )


class DatabaseNames:
    """The names of SQLite's files: whoever made the WAL may not have synced its folder."""

    def __init__(self, engine: Engine) -> None:
        database = engine.url.database if engine.dialect.name == "sqlite" else None
        self._database = None if database in (None, "", ":memory:") else Path(str(database))
        self._synced: tuple[int, int] | None = None

    def sync(self) -> None:
        """After a commit: sync the folder if database or WAL are others than last time."""
        if self._database is None:
            return
        found = (_inode(self._database), _inode(Path(f"{self._database}-wal")))
        if found != self._synced:
            sync_directory(self._database.parent)
            self._synced = found


def _inode(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_ino
    return 0
