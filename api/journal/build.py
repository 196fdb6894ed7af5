"""Builds the journal of a worker, its drain, and the drains of journals without a worker."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from api.journal.drain import Drain
from api.journal.factory import JournalFactory
from api.journal.journal import Journal
from api.journal.sink import DatabaseSink, Stored
from api.metrics import Metrics
from api.settings import Settings
from api.workers.orphaned_journals import OrphanedJournals, journal_dir


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
) -> Journaling:
    """Opens no file yet; `stored` is called with what the database has, on the drains' threads."""
    factory = JournalFactory(settings, DatabaseSink(engine), metrics, stored)
    root, total = settings.journal_dir, settings.api_workers
    journal, drain = factory.journal(journal_dir(root, worker, total))
    orphaned = OrphanedJournals(root, total, factory.journal)
    made = Journaling(journal, drain, orphaned)
    _watch(metrics, made, worker)
    return made


def _watch(metrics: Metrics, parts: Journaling, worker: int) -> None:
    journal, drain, orphaned = parts.journal, parts.drain, parts.orphaned
    metrics.watch(
        "journal_lag_seconds",
        "How long the oldest record has waited for the database, at most",
        lambda: max(drain.lag_seconds, orphaned.lag_seconds),
    )
    metrics.watch(
        "journal_backlog",
        "Records not in the database yet",
        lambda: journal.backlog + orphaned.backlog,
    )
    metrics.watch(
        "journal_missing_parts",
        "Segments or records of the journal that this process found gone",
        lambda: journal.damage.missing,
    )
    metrics.watch("journal_bytes", "Size of the journal on disk", lambda: journal.bytes_used)
    metrics.watch("journal_bytes_limit", "Its declared bound", lambda: journal.max_bytes)
    metrics.watch(
        "journal_refusing", "1 while decisions are refused", lambda: journal.refusal is not None
    )
    metrics.watch(
        "journal_damaged_parts",
        "Damaged parts of the journal that wait in its folder for a person",
        # worker 0 looks after the folders that have no worker
        lambda: journal.damage.copies() + (0 if worker else orphaned.damaged_parts()),
    )
