"""What every command needs: the consoles, and the database of the settings."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from sqlalchemy import Engine

from shared.tables.engine import connect, migrate
from understudy.settings import CommandSettings

console = Console()
errors = Console(stderr=True)


@contextmanager
def open_database(settings: CommandSettings) -> Iterator[Engine]:
    """The database, its tables brought up to date."""
    engine = connect(settings.database_url.get_secret_value())
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()
