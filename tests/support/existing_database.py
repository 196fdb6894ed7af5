"""An empty database where the command line looks for it."""

from pathlib import Path

from shared.tables.engine import connect, migrate


def make_database(folder: Path) -> str:
    """The database of a folder, with its tables; returns its URL."""
    url = f"sqlite:///{folder}/var/understudy.db"
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    return url
