"""The connections of one process: for writing, and for what requests read, with a deadline."""

from dataclasses import dataclass

from sqlalchemy import Engine

from api.metrics import Metrics
from api.settings import Settings
from shared.tables.engine import connect, connect_for_reading, file_of
from shared.tables.reads import standing_of

# Statement timeout: after it a row is scored without its history.
STATEMENT_TIMEOUT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Database:
    """Both engines; one object where reads need no separate connections.

    Attributes:
        read_seconds: how long the reads of a request may take; None: there is no deadline.
    """

    engine: Engine
    reading: Engine
    read_seconds: float | None

    def dispose(self) -> None:
        self.reading.dispose()
        self.engine.dispose()


def build_database(settings: Settings, metrics: Metrics) -> Database:
    """Engines without a connection yet, and their gauges.

    Raises:
        SettingsError: the URL cannot be used.
    """
    engine = connect(settings.database_url.get_secret_value(), STATEMENT_TIMEOUT_SECONDS)
    read_seconds = settings.history_deadline_ms / 1_000
    reading = connect_for_reading(engine, read_seconds)
    standing = standing_of(reading)
    metrics.watch(
        "history_unreadable",
        "1 while rows are scored without history, which cannot be read in time",
        lambda: standing.failing_seconds is not None,
    )
    file = file_of(engine)
    if file is not None:
        metrics.watch(
            "database_file_changes",
            "Times the SQLite file was removed or replaced while this process ran",
            lambda: file.generation,
        )
    return Database(engine, reading, None if reading is engine else read_seconds)
