"""Labels on their way to the database: stored now, or journaled behind the decision they belong to.

A label may not overtake its decision, or the database would not know what it labels. So a label
whose decision waits in a journal goes into that journal, this worker's or another's; one that the
database cannot store now waits in this worker's. A label that can be neither stored nor journaled
is refused, and not acknowledged.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sqlalchemy import Engine

from api.http.problems import JOURNAL_FULL, WORKER_UNAVAILABLE, Problem
from api.journal.entries import encode_label, quarantine_key
from api.journal.journal import Journal, JournalFull
from api.scoring.idempotency import DecisionCache
from shared.errors import DataUnavailable
from shared.tables.engine import database_errors, lasting_transaction
from shared.tables.locks import waiting_at_most
from shared.tables.transaction_store import TRANSACTIONS
from shared.transaction import Label
from shared.usecase.rows import RowStore

# Labels wait this long for a database lock; after that they go to the journal.
_LOCK_SECONDS = 1.0
_MAX_NAMED = 20


Append = Callable[[Sequence[Label]], set[str]]


class OtherWorkers(Protocol):
    """The other workers, whose journals may hold a label's decision."""

    def keep(self, labels: Sequence[Label]) -> set[str] | None:
        """Ids of the labels that they have journaled; None: not all of them could be asked."""
        ...


class NoOthers:
    """The label route of a service with one worker."""

    def keep(self, labels: Sequence[Label]) -> set[str]:  # noqa: ARG002
        return set()


@dataclass(slots=True)
class KeptLabels:
    """The result of storing labels.

    Attributes:
        stored: those in the database, with the label it was given.
        replaced: of those, the ids whose stored label changed.
        outdated: of those, the ids whose stored label was known later and differs.
        delays_us: of first labels, from the event to the instant since when they are known.
    """

    stored: list[Label] = field(default_factory=list)
    queued: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    outdated: set[str] = field(default_factory=set)
    delays_us: list[int] = field(default_factory=list)


class LabelKeeper:
    """Keeps labels; blocks while the database is asked."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        cache: DecisionCache,
        others: OtherWorkers,
        rows: RowStore = TRANSACTIONS,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._cache = cache
        self._others = others
        self.rows = rows

    def keep(self, labels: Iterable[Label]) -> KeptLabels:
        """Keep one label of each transaction, the one known last.

        An unknown id is looked for without the blanks around it, too.

        Raises:
            Problem: some can be neither stored nor journaled now.
        """
        latest = _latest(labels)
        kept = self._keep(latest)
        sent = {label.transaction_id for label in latest}
        bare = [
            replace(label, transaction_id=label.transaction_id.strip())
            for label in latest
            if label.transaction_id in kept.unknown
        ]
        again = self._keep(
            _latest(label for label in bare if label.transaction_id not in {*sent, ""})
        )
        kept.stored += again.stored
        kept.queued |= again.queued
        kept.replaced |= again.replaced
        kept.outdated |= again.outdated
        kept.delays_us += again.delays_us
        found = again.queued | {label.transaction_id for label in again.stored}
        kept.unknown = {name for name in kept.unknown if name.strip() not in found}
        return kept

    def keep_if_pending(self, labels: Sequence[Label]) -> set[str]:
        """Journal those labels whose decisions wait in this journal; returns their ids.

        Raises:
            JournalFull: they cannot be.
        """
        pending = [label for label in labels if self._is_pending(label.transaction_id)]
        if pending:
            self._journal.append([encode_label(label) for label in pending])
        return {label.transaction_id for label in pending}

    def _keep(self, labels: Sequence[Label]) -> KeptLabels:
        kept = KeptLabels()
        if not labels:
            return kept
        kept.queued |= self._journaled(self.keep_if_pending, labels)
        rest = _without(labels, kept.queued)
        stored = self._store(rest, kept)
        rest = _without(rest, stored or set())
        elsewhere = self._others.keep(rest) if rest else set()
        kept.queued |= elsewhere or set()
        rest = _without(rest, kept.queued)
        if stored is not None and elsewhere:
            # a decision may have been drained between the two lookups
            stored |= self._store(rest, kept) or set()
            rest = _without(rest, stored)
        if stored is not None:
            kept.stored = [label for label in labels if label.transaction_id in stored]
            kept.unknown = {label.transaction_id for label in rest}
        if rest and elsewhere is None:
            raise _unreachable(rest)
        if stored is None:
            kept.queued |= self._journaled(self._append, rest)
        return kept

    def _append(self, labels: Sequence[Label]) -> set[str]:
        if labels:
            self._journal.append([encode_label(label) for label in labels])
        return {label.transaction_id for label in labels}

    def _store(self, labels: Sequence[Label], kept: KeptLabels) -> set[str] | None:
        """Ids of those that the database has now; None while it takes none."""
        if not labels:
            return set()
        try:
            with (
                database_errors("store labels"),
                lasting_transaction(self._engine) as connection,
                waiting_at_most(connection, _LOCK_SECONDS),
            ):
                found = self.rows.store_labels(connection, labels)
        except DataUnavailable:
            return None
        kept.replaced |= found.replaced
        kept.outdated |= found.outdated
        kept.delays_us += found.delays_us
        return set(found.ids)

    def _is_pending(self, transaction_id: str) -> bool:
        is_pending = self._cache.is_pending
        return is_pending(transaction_id) or is_pending(quarantine_key(transaction_id))

    @staticmethod
    def _journaled(
        append: Callable[[Sequence[Label]], set[str]], labels: Sequence[Label]
    ) -> set[str]:
        try:
            return append(labels)
        except JournalFull as error:
            detail = f"{error}; send the labels again"
            raise Problem(JOURNAL_FULL, detail, headers={"Retry-After": "5"}) from error


def _latest(labels: Iterable[Label]) -> list[Label]:
    """One label of each id, the one known last; of several known at one instant the last sent."""
    latest: dict[str, Label] = {}
    for label in labels:
        rival = latest.get(label.transaction_id)
        if rival is None or label.label_known_at_us >= rival.label_known_at_us:
            latest[label.transaction_id] = label
    return list(latest.values())


def _without(labels: Sequence[Label], ids: set[str]) -> list[Label]:
    return [label for label in labels if label.transaction_id not in ids]


def _unreachable(labels: Sequence[Label]) -> Problem:
    names = sorted(label.transaction_id for label in labels)
    return Problem(
        WORKER_UNAVAILABLE,
        f"{len(names)} labels were not kept: a worker whose journal may hold their decisions does "
        "not answer now; send them again",
        headers={"Retry-After": "2"},
        not_kept=len(names),
        first_not_kept=names[:_MAX_NAMED],
    )
