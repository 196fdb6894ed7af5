"""Builds the journal of a worker, its drain, and the drains of journals without a worker."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from api.journal.drain import CommitTracker, Drain, DrainEvents
from api.journal.entries import RecordFormat
from api.journal.journal import Journal
from api.journal.orphaned import OrphanedJournals, journal_dir
from api.journal.sink import DatabaseSink, Sink, Stored
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
        records: RecordFormat,
        *,
        commits: CommitTracker | None = None,
    ) -> None:
        """`stored` is called with what the database has, on a drain's thread.

        With `commits` answers wait for the drain of this worker's journal.
        """
        self._commits = commits
        self._settings = settings
        self._sink = sink
        self._metrics = metrics
        self._stored = stored
        self._format = records

    def journal(self, folder: Path) -> tuple[Journal, Drain]:
        settings = self._settings
        journal = Journal(
            folder,
            settings.journal_max_bytes,
            fsync=settings.journal_fsync,
            tell_damage=self._damaged,
        )
        events = DrainEvents(stored=self._stored, refused=self._refused)
        wanted = None if self._commits is None else self._commits.wanted
        every = settings.journal_drain_seconds
        drain = Drain(journal, self._writer(folder), events, every, wanted)
        return journal, drain

    def _writer(self, folder: Path) -> BatchWriter:
        if self._settings.journal_drain_in == "thread":
            return InProcessWriter(folder, self._sink, records=self._format)
        url = self._settings.database_url.get_secret_value()
        urgent = self._commits is not None
        use_case = self._settings.use_case
        return SubprocessWriter(folder, url, self._sink, use_case=use_case, urgent=urgent)

    def _refused(self, what: str) -> None:
        self._metrics.dead_lettered.labels(what).inc()

    def _damaged(self, kind: str) -> None:
        self._metrics.journal_damage.labels(kind).inc()


@dataclass(frozen=True, slots=True)
class Journaling:
    """Decisions on their way to the database."""

    journal: Journal
    drain: Drain
    orphaned: OrphanedJournals


def build_journaling(
    settings: Settings,
    engine: Engine,
    metrics: Metrics,
    worker: int,
    stored: Callable[[Stored], None],
    *,
    records: RecordFormat,
    commits: CommitTracker | None = None,
) -> Journaling:
    """Opens no file yet; `stored` is called with what the database has, on the drains' threads."""
    sink = DatabaseSink(engine, records=records)
    own = JournalFactory(settings, sink, metrics, stored, records, commits=commits)
    root, total = settings.journal_dir, settings.api_workers
    journal, drain = own.journal(journal_dir(root, worker, total))
    # no response waits for the records of a process that has ended
    others = JournalFactory(settings, sink, metrics, stored, records)
    orphaned = OrphanedJournals(root, total, others.journal)
    made = Journaling(journal, drain, orphaned)
    _watch(metrics, made, worker)
    return made


def _watch(metrics: Metrics, parts: Journaling, worker: int) -> None:
    journal, drain, orphaned = parts.journal, parts.drain, parts.orphaned
    metrics.watch(
        "journal_lag_seconds",
        "Age of the oldest record that is not in the database, at most",
        lambda: max(drain.lag_seconds, orphaned.lag_seconds),
    )
    metrics.watch(
        "journal_backlog",
        "Records not in the database yet",
        lambda: journal.backlog + orphaned.backlog,
    )
    metrics.watch(
        "journal_missing_parts",
        "Missing segments or records of the journal",
        lambda: journal.damage.missing,
    )
    metrics.watch("journal_bytes", "Size of the journal on disk", lambda: journal.bytes_used)
    metrics.watch("journal_bytes_limit", "JOURNAL_MAX_BYTES", lambda: journal.max_bytes)
    metrics.watch(
        "journal_refusing", "1 while decisions are refused", lambda: journal.refusal is not None
    )
    metrics.watch(
        "journal_damaged_parts",
        "Copies of damaged parts in the journal's folder",
        # worker 0 drains the orphaned folders
        lambda: journal.damage.copies() + (0 if worker else orphaned.damaged_parts()),
    )
