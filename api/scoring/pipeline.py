"""The scoring pipeline: requests become accepted rows, vectors, scores, and recorded decisions.

Every path runs it: micro-batches of the fast path, single rows of the FastAPI route, slices of
batches, and rows that other workers forward. It is synchronous: the caller decides where it runs.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import repeat
from typing import NamedTuple

from pydantic import BaseModel

from api.http.errors import senseless
from api.http.problems import JOURNAL_FULL, NO_MODEL, Problem
from api.journal.drain import Commit, CommitTracker
from api.journal.entries import DEFAULT_FORMAT, RecordFormat, quarantine_key
from api.journal.journal import Journal, JournalFull
from api.metrics import Metrics
from api.models.model_slot import LiveModel, ModelSlot, Trial
from api.scoring.anonymous_rows import MAX_OFF_US, judge
from api.scoring.idempotency import (
    DecisionCache,
    IdempotencyStore,
    PastDecision,
    conflict,
    conflicting_fields,
    decided_elsewhere,
)
from api.scoring.model_router import Isolation, ModelRouter, RoutedScores, answered, compare
from api.scoring.stages import (
    Accepted,
    Featured,
    Received,
    Recorded,
    Reply,
    RowOutcome,
    Scored,
    reply_of,
)
from api.scoring.user_locks import MonotonicClock, RowReservation, UserLocks, lock_keys
from api.workers.peers.ownership import Claims
from shared.tables.reads import missed, reading_until
from shared.transaction import Transaction
from shared.usecase.serving import HISTORY_UNAVAILABLE, FeatureSource, ServingUseCase

WITHOUT_HISTORY = {"code": HISTORY_UNAVAILABLE}
"""Among the reason codes of a stored decision whose history could not be read, or not in time."""

# Rows of a batch for each read deadline; one deadline is that of a single-row request.
_ROWS_A_DEADLINE = 50
_NO_DEADLINE = nullcontext()
_NO_COMMITS: Mapping[str, Commit] = {}
_NO_COMMIT = repeat(None)
_RETRY = {"Retry-After": "5"}

Outcomes = list[RowOutcome | None]
"""Outcomes by the positions of the rows; None: the row is still in the pipeline."""


@dataclass(frozen=True, slots=True)
class PipelineParts:
    """The collaborators of scoring; made once by its builder.

    Attributes:
        claims: the worker that owns an id; None where there is only one.
        clock: the present and the ingestion time of each row.
        read_seconds: how long a request may read history; None: no deadline.
        commits: commits in the database; None: no answer waits for one.
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
    clock: MonotonicClock
    metrics: Metrics
    read_seconds: float | None = None
    records: RecordFormat = DEFAULT_FORMAT
    commits: CommitTracker | None = None


class PipelineResult(NamedTuple):
    """The outcomes of the rows of one run.

    Attributes:
        outcomes: one for each row, in the order given.
        model: the live version, or the fallback that scored instead.
    """

    outcomes: Sequence[RowOutcome]
    model: LiveModel


class ScoringPipeline:
    """Scores rows in the order given, each with those before it in its past."""

    def __init__(self, parts: PipelineParts) -> None:
        self._parts = parts
        self._feature_set_version = parts.use_case.feature_set.version
        self._encode = parts.records.encode_decision
        self._fields = parts.records.rows.fields

    def run(
        self,
        received: Sequence[Received],
        *,
        isolation: Isolation,
        model: LiveModel | None = None,
        marks: list[float] | None = None,
    ) -> PipelineResult:
        """Give every row its outcome.

        `model` is the version to score with, where it is not simply the live one. `marks` gets
        the instant at which each phase ended, by `time.perf_counter`: rows accepted, features
        made, scores made, decisions recorded.

        Raises:
            Problem: no model, the model failed, or the journal is full; nothing was counted.
        """
        model = model or self._live_model()
        outcomes: Outcomes = [None] * len(received)
        keys = lock_keys([one.request for one in received], self._fields)
        with self._parts.user_locks.of(keys), self._reading(len(received)):
            accepted = self._accept(received, outcomes)
            fresh, duplicates = self._deduplicate(accepted, outcomes)
            if marks is not None:
                marks.append(time.perf_counter())
            scored: Sequence[Scored] = ()
            if fresh:
                model, scored = self._decide(fresh, model, isolation, outcomes, marks)
            _answer_duplicates(duplicates, scored, outcomes)
        return PipelineResult([found for found in outcomes if found is not None], model)

    def names_of(self, received: Received) -> dict[str, str]:
        """Fields of a log line that say which row it was, where the caller named it."""
        row_id = getattr(received.request, self._fields.row_id, None)
        return {} if row_id is None else {"row_id": row_id}

    def _live_model(self) -> LiveModel:
        model = self._parts.models.live
        if model is None:
            raise Problem(NO_MODEL, "the first model has not been promoted yet", headers=_RETRY)
        return model

    def _reading(self, rows: int) -> AbstractContextManager[None]:
        """One deadline for all reads of a request, by the rows it holds."""
        seconds = self._parts.read_seconds
        if seconds is None:
            return _NO_DEADLINE
        parts = math.ceil(rows / _ROWS_A_DEADLINE) or 1
        return reading_until(time.monotonic() + seconds * parts)

    def _accept(self, received: Sequence[Received], outcomes: Outcomes) -> list[Accepted]:
        """Rows that make sense, stamped with their ingestion time; the others have a problem."""
        to_transaction, row_id = self._parts.use_case.to_transaction, self._fields.row_id
        instants = self._parts.clock.ingestions(len(received))
        accepted = []
        for position, (one, (now_us, stamp_us)) in enumerate(zip(received, instants, strict=True)):
            try:
                transaction = to_transaction(one.request, now_us)
            except ValueError as error:
                outcomes[position] = senseless(error)
                continue
            if stamp_us != now_us:
                # the clock was set back
                transaction = replace(transaction, ingested_at_us=stamp_us)
            accepted.append(_accepted(one, position, transaction, now_us, row_id))
        return accepted

    def _deduplicate(
        self, rows: Sequence[Accepted], outcomes: Outcomes
    ) -> tuple[list[Accepted], list[tuple[Accepted, Accepted]]]:
        """Rows to decide, and rows whose id came earlier among them; others have an outcome."""
        # before the lookup of decisions: one committed meanwhile may have been superseded
        commits = self._waiting(rows)
        known = self._known(rows)
        first: dict[str, Accepted] = {}
        duplicates = []
        for row in rows:
            name = row.key
            if name in known and self._is_settled(row, known[name], outcomes, commits.get(name)):
                continue
            if row.refusal is not None:
                outcomes[row.position] = row.refusal
                continue
            earlier = first.setdefault(name, row)
            if earlier is not row and not self._is_refused(row, earlier.transaction, outcomes):
                duplicates.append((row, earlier))
        return self._claim(list(first.values()), outcomes), duplicates

    def _known(self, rows: Sequence[Accepted]) -> dict[str, PastDecision]:
        """Earlier decisions of the rows' ids, by their keys."""
        named = [row for row in rows if row.is_named]
        known = self._parts.decisions.among([row.key for row in named])
        # The row was trusted when it was first sent and is quarantined now: still the same row.
        late = [row for row in named if row.is_quarantined and row.received.caller.is_trusted]
        if late:
            ids = {row.key: row.transaction.transaction_id for row in late}
            before = self._parts.decisions.among(list(ids.values()))
            known |= {key: before[name] for key, name in ids.items() if name in before}
        return known

    def _waiting(self, rows: Sequence[Accepted]) -> Mapping[str, Commit]:
        """Commits of the rows' ids that the database does not have yet, by their keys."""
        commits = self._parts.commits
        return _NO_COMMITS if commits is None else commits.among([row.key for row in rows])

    def _is_settled(
        self,
        row: Accepted,
        known: PastDecision,
        outcomes: Outcomes,
        commit: Commit | None,
    ) -> bool:
        """True if an earlier decision of the same id settles the row."""
        if self._is_refused(row, known.transaction, outcomes):
            return True
        if known.unknown_version is not None:
            outcomes[row.position] = decided_elsewhere(known.unknown_version)
            return True
        if known.decided is None:
            return False
        outcomes[row.position] = reply_of(row.received.route, known.decided, commit)
        return True

    def _is_refused(self, row: Accepted, first: Transaction, outcomes: Outcomes) -> bool:
        """True if the id was decided with another payload; sets the outcome."""
        to_transaction, request = self._parts.use_case.to_transaction, row.received.request
        rows = self._parts.records.rows
        fields = conflicting_fields(request, row.transaction, first, to_transaction, rows)
        if fields:
            self._refuse(row, request, fields, outcomes)
        return bool(fields)

    def _refuse(
        self, row: Accepted, request: BaseModel, fields: list[str], outcomes: Outcomes
    ) -> None:
        outcomes[row.position] = conflict(request, fields, self._fields)
        self._parts.metrics.idempotency_conflicts.inc()

    def _claim(self, rows: list[Accepted], outcomes: Outcomes) -> list[Accepted]:
        """The rows this worker may decide; an id that another one holds is another user's."""
        claims = self._parts.claims
        if claims is None:
            return rows
        refused = claims.claim([row.key for row in rows if row.is_named])
        if not refused:
            return rows
        entity = self._fields.entity or self._fields.row_id
        for row in rows:
            if row.key in refused:
                self._refuse(row, row.received.request, [entity], outcomes)
        return [row for row in rows if row.key not in refused]

    def _decide(
        self,
        rows: Sequence[Accepted],
        model: LiveModel,
        isolation: Isolation,
        outcomes: Outcomes,
        marks: list[float] | None,
    ) -> tuple[LiveModel, Sequence[Scored]]:
        parts, trial = self._parts, self._parts.models.trial
        missed_before = missed()
        with RowReservation(parts.source, parts.claims, rows) as reserved:
            featured = Featured(rows, reserved.matrix, is_whole=missed() == missed_before)
            if marks is not None:
                marks.append(time.perf_counter())
            users = [row.transaction.user_id for row in rows]
            scores = parts.router.score(model, trial, users, featured.matrix, isolation=isolation)
            if marks is not None:
                marks.append(time.perf_counter())
            scored, unscored = answered(featured, scores, parts.models.fallback, parts.router.blame)
            if not featured.is_whole:
                self._mark(scored)
            commits = self._record(scored, scores, trial, isolation)
            reserved.commit([row for row, _ in unscored])
        if marks is not None:
            marks.append(time.perf_counter())
        for (row, decided, answer), commit in zip(scored, commits, strict=False):
            outcomes[row.position] = Reply(answer.body, decided.served.version, commit)
        for row, problem in unscored:
            outcomes[row.position] = problem
        if trial is None:
            compare(scored, featured.matrix, scores, parts.models.comparison)
        return scores.champion, scored

    def _mark(self, scored: Sequence[Scored]) -> None:
        """Say in the records that the history could not be read, or not all of it."""
        for _, _, answer in scored:
            answer.reason_codes = [*answer.reason_codes, WITHOUT_HISTORY]
        self._parts.metrics.without_history.inc(len(scored))

    def _record(
        self,
        scored: Sequence[Scored],
        scores: RoutedScores,
        trial: Trial | None,
        isolation: Isolation,
    ) -> Iterable[Commit | None]:
        """Journal decisions, all or none, and make them known to what is scored later.

        Returns the commit that each waits for.

        Raises:
            Problem: they could not be kept, so they were not made.
        """
        parts, now = self._parts, time.perf_counter()
        recorded = self._recorded(scored, now)
        commits = self._append(recorded)
        parts.metrics.versions.answered(
            [
                (
                    decided.served.version,
                    answer.decision,
                    now - row.received.started,
                    answer.score,
                    answer.body,
                )
                for row, decided, answer in scored
            ]
        )
        quarantined = sum([row.is_quarantined for row, _, _ in scored])
        if quarantined:
            parts.metrics.quarantined.inc(quarantined)
        if trial is not None:
            for one in scored:
                # rows of a batch have no latency of their own
                is_timed = isolation is Isolation.PER_ROW
                trial.noted(one.decided, scores.own_milliseconds(one, now) if is_timed else None)

        return commits

    def _append(self, recorded: Sequence[Recorded]) -> Iterable[Commit | None]:
        parts, records = self._parts, [one.record for one in recorded]
        # before the journal: a drain that finds a superseded decision drops it from the cache
        parts.cache.put(recorded)
        try:
            if parts.commits is None:
                parts.journal.append(records)
                return _NO_COMMIT
            return parts.commits.append(parts.journal, [one.key for one in recorded], records)
        except JournalFull as error:
            parts.cache.drop([one.key for one in recorded])
            raise Problem(JOURNAL_FULL, str(error), headers=_RETRY) from error

    def _recorded(self, scored: Sequence[Scored], now: float) -> list[Recorded]:
        encode, version = self._encode, self._feature_set_version
        recorded = []
        for row, decided, answer in scored:
            latency_ms = round((now - row.received.started) * 1e3, 3)
            record = encode(decided, answer, version, latency_ms, is_quarantined=row.is_quarantined)
            recorded.append(Recorded(row.key, record, decided.served))
        return recorded


def _accepted(
    received: Received, position: int, transaction: Transaction, now_us: int, row_id: str
) -> Accepted:
    caller, name = received.caller, transaction.transaction_id
    is_named = row_id in received.request.model_fields_set
    if caller.is_anonymous:
        off_us = transaction.event_time_us - now_us
        if not caller.is_trusted or not -MAX_OFF_US <= off_us <= MAX_OFF_US:
            is_quarantined, refusal = judge(received, transaction, now_us)
            key = quarantine_key(name) if is_quarantined else name
            return Accepted(received, position, transaction, key, is_named, is_quarantined, refusal)
    return Accepted(received, position, transaction, name, is_named)


def _answer_duplicates(
    duplicates: Sequence[tuple[Accepted, Accepted]], scored: Sequence[Scored], outcomes: Outcomes
) -> None:
    """Rows whose id came earlier in this run get what that row got."""
    if not duplicates:
        return
    decided = {one.row.position: one.decided for one in scored}
    for row, first in duplicates:
        before, outcome = decided.get(first.position), outcomes[first.position]
        if before is not None:
            commit = outcome.commit if isinstance(outcome, Reply) else None
            outcome = reply_of(row.received.route, before, commit)
        outcomes[row.position] = outcome
