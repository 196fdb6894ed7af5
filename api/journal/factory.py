"""Makes the journal of a folder, and the drain that carries it into the database."""

from collections.abc import Callable
from pathlib import Path

from api.journal.drain import Drain, DrainEvents
from api.journal.journal import Journal
from api.journal.sink import Sink, Stored
from api.journal.subprocess_writer import SubprocessWriter
from api.journal.writer import BatchWriter, InProcessWriter
from api.metrics import Metrics
from api.settings import Settings


class JournalFactory:
    """Makes the journal of a folder and what drains it."""

    def __init__(
        self,
        settings: Settings,
        sink: Sink,
        metrics: Metrics,
        stored: Callable[[Stored], None],
    ) -> None:
        """`stored` is called with what the database has, on a drain's thread."""
        self._settings = settings
        self._sink = sink
        self._metrics = metrics
        self._stored = stored

    def journal(self, folder: Path) -> tuple[Journal, Drain]:
        settings = self._settings
        journal = Journal(
            folder,
            settings.journal_max_bytes,
            fsync=settings.journal_fsync,
            tell_damage=self._damaged,
        )
        events = DrainEvents(stored=self._stored, refused=self._refused)
        drain = Drain(journal, self._writer(folder), events, settings.journal_drain_seconds)
        return journal, drain

    def _writer(self, folder: Path) -> BatchWriter:
        if self._settings.journal_drain_in == "thread":
            return InProcessWriter(folder, self._sink)
        url = self._settings.database_url.get_secret_value()
        return SubprocessWriter(folder, url, self._sink)

    def _refused(self, what: str) -> None:
        self._metrics.dead_lettered.labels(what).inc()

    def _damaged(self, kind: str) -> None:
        self._metrics.journal_damage.labels(kind).inc()
