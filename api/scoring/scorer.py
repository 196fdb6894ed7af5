"""Rows from requests to recorded answers. Synchronous: the caller decides where it runs."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from api.http.problems import JOURNAL_FULL, NO_MODEL, Problem
from api.http.validation import senseless
from api.journal.entries import encode_decision
from api.journal.journal import Journal, JournalFull
from api.metrics import Metrics
from api.models.loaded import LiveModel
from api.models.model_slot import ModelSlot
from api.rollout.trial import Trial
from api.scoring.anonymous_rows import MAX_OFF_US, judge
from api.scoring.answering import answered, compare
from api.scoring.conflicts import ENTITY, conflict, conflicting_fields
from api.scoring.idempotency import DecisionCache, IdempotencyStore, PastDecision
from api.scoring.model_router import Isolation, ModelRouter, RoutedScores
from api.scoring.row import Reply, Row
from api.scoring.user_locks import UserLocks
from api.workers.peers.claims import Claims
from shared.clock import Clock
from shared.tables.read_deadline import missed, reading_until
from shared.transaction import Transaction
from shared.usecase.serving import HISTORY_UNAVAILABLE, FeatureSource, FloatMatrix, ServingUseCase

WITHOUT_HISTORY = {"code": HISTORY_UNAVAILABLE}
"""Among the reason codes of a stored decision whose history could not be read, or not in time."""

# Of a long batch each part of so many rows may read for as long as a request of one row.
_ROWS_A_DEADLINE = 50
_NO_DEADLINE = nullcontext()
_RETRY = {"Retry-After": "5"}


@dataclass(frozen=True, slots=True)
class ScoringParts:
    """What scoring needs; made once by the composition root.

    Attributes:
        claims: which worker decides about an id; None where there is only one.
        clock: the present of each row; `user_locks` make ingestion a total order of it.
    """

    use_case: ServingUseCase
    source: FeatureSource
    models: ModelSlot
    router: ModelRouter
    journal: Journal
    cache: DecisionCache
    decisions: IdempotencyStore
    user_locks: UserLocks
    claims: Claims | None
    clock: Clock
    metrics: Metrics
    read_seconds: float | None = None


class Scorer:
    """Scores rows in the order given, each with those before it in its past."""

    def __init__(self, parts: ScoringParts) -> None:
        self._parts = parts
        self._feature_set_version = parts.use_case.feature_set.version

    def score(
        self, rows: Sequence[Row], *, isolation: Isolation, model: LiveModel | None = None
    ) -> LiveModel:
        """Give every row its outcome; returns the version that serves, or stood in for it.

        `isolation`: see `Isolation`. `model` is the version to
        score with, where it is not simply the one that serves.

        Raises:
            Problem: no model, the model failed, or the journal is full; nothing was counted.
        """
        model = model or self._model()
        accepted = self._accept(rows)
        with self._parts.user_locks.of(_lock_keys(accepted)), self._reading(len(accepted)):
            fresh, duplicates = self._deduplicate(accepted)
            if fresh:
                model = self._decide(fresh, model, isolation=isolation)
        for row, first in duplicates:
            row.outcome = first.outcome
            if isinstance(first.outcome, Reply):
                row.answer_like(first.decided)
        return model

    def _reading(self, rows: int) -> AbstractContextManager[None]:
        """One deadline for all reads of a request, by the rows it holds."""
        seconds = self._parts.read_seconds
        if seconds is None:
            return _NO_DEADLINE
        parts = math.ceil(rows / _ROWS_A_DEADLINE) or 1
        return reading_until(time.monotonic() + seconds * parts)

    def _model(self) -> LiveModel:
        model = self._parts.models.live
        if model is None:
            raise Problem(NO_MODEL, "the first model has not been promoted yet", headers=_RETRY)
        return model

    def _accept(self, rows: Sequence[Row]) -> list[Row]:
        """Rows that make sense; the others have their problem."""
        to_transaction, now_us = self._parts.use_case.to_transaction, self._parts.clock.now_us
        accepted = []
        for row in rows:
            try:
                row.transaction = transaction = to_transaction(row.request, now_us())
            except ValueError as error:
                row.outcome = senseless(error)
                continue
            if row.caller.is_anonymous:
                off_us = transaction.event_time_us - transaction.ingested_at_us
                if not row.caller.is_trusted or not -MAX_OFF_US <= off_us <= MAX_OFF_US:
                    judge(row)
            accepted.append(row)
        return accepted

    def _deduplicate(self, rows: Sequence[Row]) -> tuple[list[Row], list[tuple[Row, Row]]]:
        """Rows to be decided, and rows whose id came earlier among them; others are answered."""
        known = self._known(rows)
        first: dict[str, Row] = {}
        duplicates = []
        for row in rows:
            name = row.key
            if name in known and self._is_settled(row, known[name]):
                continue
            if row.refusal is not None:
                row.outcome = row.refusal
                continue
            earlier = first.setdefault(name, row)
            if earlier is not row and not self._is_refused(row, earlier.transaction):
                duplicates.append((row, earlier))
        return self._claim(list(first.values())), duplicates

    def _known(self, rows: Sequence[Row]) -> dict[str, PastDecision]:
        """What is known of the rows' ids, by their keys."""
        named = [row for row in rows if row.is_named]
        known = self._parts.decisions.among([row.key for row in named])
        # It counted when it came, and would not any more: it is the same row all the same.
        late = [row for row in named if row.is_quarantined and row.caller.is_trusted]
        if late:
            before = self._parts.decisions.among([row.id for row in late])
            known |= {row.key: before[row.id] for row in late if row.id in before}
        return known

    def _is_settled(self, row: Row, known: PastDecision) -> bool:
        """Whether a row whose id was decided before has its outcome by that."""
        if self._is_refused(row, known.transaction):
            return True
        if known.decided is None:
            return False
        row.answer_like(known.decided)
        return True

    def _claim(self, rows: list[Row]) -> list[Row]:
        """The rows this worker may decide; an id that another one holds is another user's."""
        claims = self._parts.claims
        if claims is None:
            return rows
        refused = claims.claim([row.key for row in rows if row.is_named])
        if not refused:
            return rows
        for row in rows:
            if row.key in refused:
                row.outcome = conflict(row.request, [ENTITY])
                self._parts.metrics.idempotency_conflicts.inc()
        return [row for row in rows if row.key not in refused]

    def _withdraw(self, rows: Sequence[Row]) -> None:
        """Nothing was decided about these: they are nobody's past, and their ids are free."""
        self._parts.source.withdraw([row.id for row in rows if not row.is_quarantined])
        if self._parts.claims is not None:
            self._parts.claims.release([row.key for row in rows if row.is_named])

    def _is_refused(self, row: Row, first: Transaction) -> bool:
        """Whether the row's id was decided with another payload, which its outcome then says."""
        to_transaction = self._parts.use_case.to_transaction
        fields = conflicting_fields(row.request, row.transaction, first, to_transaction)
        if fields:
            row.outcome = conflict(row.request, fields)
            self._parts.metrics.idempotency_conflicts.inc()
        return bool(fields)

    def _decide(self, rows: Sequence[Row], model: LiveModel, *, isolation: Isolation) -> LiveModel:
        parts = self._parts
        for row in rows:
            row.transaction = parts.user_locks.stamped(row.transaction)
        try:
            missed_before = missed()
            matrix = self._features(rows)
            is_whole = missed() == missed_before
            users = [row.transaction.user_id for row in rows]
            trial = parts.models.trial
            scores = parts.router.score(model, trial, users, matrix, isolation=isolation)
            scored = answered(rows, matrix, scores, parts.models.fallback, parts.router.blame)
            if not is_whole:
                self._mark(scored)
            self._record(scored, scores, trial, isolation=isolation)
            if trial is None:
                compare(scored, matrix, scores, parts.models.comparison)
        except BaseException:
            self._withdraw(rows)
            raise
        if len(scored) < len(rows):
            self._withdraw([row for row in rows if isinstance(row.outcome, Problem)])
        return scores.champion

    def _mark(self, rows: Sequence[Row]) -> None:
        """Say in the records that what was read did not come, or not all of it."""
        for row in rows:
            row.answer.reason_codes = [*row.answer.reason_codes, WITHOUT_HISTORY]
        self._parts.metrics.without_history.inc(len(rows))

    def _features(self, rows: Sequence[Row]) -> FloatMatrix:
        """The vectors of the rows; a quarantined one sees the past and becomes nobody's."""
        source = self._parts.source
        trusted = [row.transaction for row in rows if not row.is_quarantined]
        if len(trusted) == len(rows):
            return source.vectors(trusted)
        names = self._parts.use_case.feature_set.names
        matrix = np.empty((len(rows), len(names)), dtype=np.float32)
        if trusted:
            matrix[[not row.is_quarantined for row in rows]] = source.vectors(trusted)
        for line, row in enumerate(rows):
            if row.is_quarantined:
                matrix[line] = source.vector(row.transaction)
        return matrix

    def _record(
        self,
        rows: Sequence[Row],
        scores: RoutedScores,
        trial: Trial | None,
        *,
        isolation: Isolation,
    ) -> None:
        """Journal decisions, all or none, and make them known to what is scored later.

        Raises:
            Problem: they could not be kept, so they were not made.
        """
        parts, version, now = self._parts, self._feature_set_version, time.perf_counter()
        records = [
            encode_decision(
                row.decided,
                row.answer,
                version,
                round((now - row.started) * 1e3, 3),
                is_quarantined=row.is_quarantined,
            )
            for row in rows
        ]
        try:
            parts.journal.append(records)
        except JournalFull as error:
            raise Problem(JOURNAL_FULL, str(error), headers=_RETRY) from error
        parts.cache.put(
            (row.key, record, row.decided.served) for row, record in zip(rows, records, strict=True)
        )
        parts.metrics.versions.answered(
            [(row.decided.served.version, row.answer.decision, now - row.started) for row in rows]
        )
        quarantined = sum([row.is_quarantined for row in rows])
        if quarantined:
            parts.metrics.quarantined.inc(quarantined)
        if trial is not None:
            for row in rows:
                # how long a row of a batch took is not known
                trial.noted(
                    row.decided,
                    _own_milliseconds(row, scores, now) if isolation is Isolation.PER_ROW else None,
                )


def _lock_keys(rows: Sequence[Row]) -> Iterator[str]:
    """Whose turns rows take: their users', and their ids', which two users may have sent."""
    for row in rows:
        yield row.transaction.user_id
        if row.is_named:
            yield row.id


def _own_milliseconds(row: Row, scores: RoutedScores, now: float) -> float:
    """How long the row took, without what its neighbours' version took meanwhile."""
    own = scores.seconds.get(row.decided.served.version, 0.0)
    others = sum(scores.seconds.values()) - own
    return round((now - row.started - others) * 1e3, 3)
