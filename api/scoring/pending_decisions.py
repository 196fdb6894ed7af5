"""Decisions that the database does not have yet, in memory, so that they count all the same."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from api.journal.drain import CommitTracker
from api.journal.entries import (
    DEFAULT_FORMAT,
    Decided,
    RecordFormat,
    is_quarantined,
    quarantine_key,
)
from api.journal.sink import Stored
from api.scoring.idempotency import DecisionCache
from api.scoring.lane import LoopDispatcher
from api.scoring.stages import Recorded
from api.workers.peers.ownership import Claims
from shared.transaction import Label
from shared.usecase.serving import FeatureSource

_log = structlog.get_logger()
# Rows removed from the cache at once: half a millisecond.
_ROWS_AT_ONCE = 500
Thresholds = Callable[[str], Mapping[str, float]]


class PendingDecisions:
    """Decisions that are in the journal but not in the database yet.

    Attributes:
        source: features, which see pending rows.
        cache: decisions by their keys.
        dispatcher: runs changes where scoring runs.
        commits: what answers wait for; None: they do not.
        answering: runs what sends answers, where they are sent from.
    """

    def __init__(
        self,
        source: FeatureSource,
        cache: DecisionCache,
        dispatcher: LoopDispatcher,
        claims: Claims | None,
        records: RecordFormat = DEFAULT_FORMAT,
        *,
        commit_seconds: float | None = None,
    ) -> None:
        """Starts empty; with `commit_seconds` answers wait for their commits, at most this long."""
        self.answering = LoopDispatcher()
        self.commits = (
            None if commit_seconds is None else CommitTracker(commit_seconds, self.answering)
        )
        self.source = source
        self.cache = cache
        self.dispatcher = dispatcher
        self._claims = claims
        self._format = records

    def recall(self, records: Iterable[bytes], thresholds: Thresholds) -> None:
        """Load decisions that a killed process journaled and never drained.

        Undecodable records are left for the drain, which stores them or writes them to the
        dead-letter file. `thresholds` returns those of a version.
        """
        keys: list[str] = []
        for record in records:
            try:
                decided = self._decided(record, thresholds)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            if decided is None:
                continue
            key = decided.transaction.transaction_id
            if is_quarantined(record):
                key = quarantine_key(key)
            else:
                self.source.remember(decided.transaction)
            self.cache.put([Recorded(key, record, decided.served)])
            keys.append(key)
        if self._claims is not None:
            self._claims.claim(keys)
        if self.commits is not None:
            self.commits.expect(keys)
        if keys:
            _log.info("journal_recalled", decisions=len(keys))

    def stored(self, batch: Stored) -> None:
        """The database has these now: drop the copies. Called on a drain's thread."""
        keys = list(map(quarantine_key, batch.quarantined_ids))
        self.cache.drop(batch.superseded)
        if self.commits is not None:
            # a row that the database rejects is decided again when it is sent again
            self.cache.drop(batch.refused)
            self.commits.settled(batch, [*batch.transaction_ids, *keys])
        if keys:
            self.dispatcher(partial(self.cache.stored, keys))
        self.dispatcher(partial(self._forget, batch, 0))

    def _forget(self, batch: Stored, begin: int) -> None:
        """A few at a time: requests that arrive meanwhile are answered in between."""
        end = begin + _ROWS_AT_ONCE
        names = batch.transaction_ids[begin:end]
        self.cache.stored(names)
        self.source.forget(names)
        if end < len(batch.transaction_ids):
            self.dispatcher(partial(self._forget, batch, end))
        elif batch.labels:
            self.source.learned(batch.labels)

    def _decided(self, record: bytes, thresholds: Thresholds) -> Decided | None:
        """The decision in a record; None: it is a label."""
        content = self._format.decode(record)
        if isinstance(content, Label):
            return None
        version = content[self._format.version_at]
        return self._format.decided_from_record(content, thresholds(version))
