"""A database that another process holds."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from api.settings import Settings


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """Somebody writes to the database and does not end."""
    path = settings.database_url.get_secret_value().removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
