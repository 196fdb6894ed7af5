"""Figures of the database: whether it is read in time, and how often its file was another one."""

from sqlalchemy import Engine

from api.metrics import Metrics
from shared.tables.engine import file_of
from shared.tables.read_standing import standing_of


def watch_database(metrics: Metrics, engine: Engine, reading: Engine) -> None:
    """Add them; `reading` is what requests read through."""
    standing = standing_of(reading)
    metrics.watch(
        "history_unreadable",
        "1 while history cannot be read in time and rows are scored without",
        lambda: standing.failing_seconds is not None,
    )
    file = file_of(engine)
    if file is not None:
        metrics.watch(
            "database_file_changes",
            "Times the SQLite file was removed or replaced while this process ran",
            lambda: file.generation,
        )
