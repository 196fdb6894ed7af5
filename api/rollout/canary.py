"""A canary: some users get the candidate's answers, and it never costs them one.

A row that the candidate fails on is counted as its error and answered by the champion. When
the candidate fails on many rows in a row, the process stops asking it, at once.
"""

from collections.abc import Callable, Sequence

import structlog

from api.journal.entries import Decided
from api.models.live import LiveModel
from api.rollout.bucket import Splitter, limit_of
from api.rollout.counters import Counters
from api.rollout.state import Rollout
from api.rollout.trial import Scored
from api.scoring.scorer import run_model, usable
from shared.transaction import Transaction
from shared.usecase.serving import FloatMatrix, FloatVector, Outlook, ServedModel

_log = structlog.get_logger()
Judge = Callable[[FloatVector, ServedModel], Outlook]
# So many failures without a single score in between are no bad luck.
BROKEN_AFTER = 10


class Canary:
    """The candidate in this process."""

    def __init__(
        self,
        rollout: Rollout,
        candidate: LiveModel,
        judge: Judge,
        counters: Counters,
        broken: Callable[[str], None],
    ) -> None:
        self.rollout = rollout
        self.candidate = candidate
        self.counters = counters
        self._judge = judge
        self._broken = broken
        self._splitter = Splitter(rollout.salt)
        self._limit = limit_of(rollout.share_percent)
        self._failures = 0

    def score(
        self, transactions: Sequence[Transaction], matrix: FloatMatrix, live: LiveModel
    ) -> list[Scored]:
        """Each row by its arm; what the candidate cannot score, the champion does."""
        places = [self._splitter.place(row.user_id) for row in transactions]
        chosen = [at for at, place in enumerate(places) if place.bucket < self._limit]
        found: dict[int, Scored] = {}
        if chosen:
            scores = self._by_candidate(matrix[chosen])
            found = {
                at: (self.candidate, row)
                for at, row in zip(chosen, scores, strict=True)
                if row is not None
            }
        rest = [at for at in range(len(places)) if at not in found]
        if rest:
            scores_of_rest = self._by_champion(matrix[rest], live, len(rest))
            found |= {at: (live, row) for at, row in zip(rest, scores_of_rest, strict=True)}
        return [found[at] for at in range(len(places))]

    def noted(self, decided: Decided, latency_ms: float | None) -> None:
        place = self._splitter.place(decided.transaction.user_id)
        was_candidate = decided.served.version == self.rollout.version
        in_canary = place.bucket < self._limit
        outlook = self._judge(decided.scores, decided.served)
        counters = self.counters
        with counters.lock:
            counters.met(place.unit, in_candidate=in_canary)
            if in_canary != was_candidate:
                # The champion stood in: counted already, as the candidate's error.
                return
            tally = counters.arms.candidate if was_candidate else counters.arms.champion
            tally.scored(place.group, outlook.score, is_alert=outlook.is_alert)
            if latency_ms is not None:
                tally.took(place.group, latency_ms)

    def settle(self) -> None:
        self.counters.flush()
        if self._failures >= BROKEN_AFTER:
            self._broken(f"{BROKEN_AFTER} rows in a row could not be scored")

    def stop(self) -> None:
        self.counters.flush()

    def _by_candidate(self, matrix: FloatMatrix) -> list[FloatVector | None]:
        """None for each row that it could not score."""
        if self._failures >= BROKEN_AFTER:
            return [None] * len(matrix)
        try:
            scores = [row if usable(row) else None for row in self.candidate.score(matrix)]
        except Exception as error:  # noqa: BLE001 - whatever it is, the champion answers
            if self._failures == 0:
                _log.error("candidate_failed", version=self.rollout.version, error=str(error)[:500])
            scores = [None] * len(matrix)
        self._count_failures(scores)
        return scores

    def _count_failures(self, scores: Sequence[FloatVector | None]) -> None:
        failed = sum(row is None for row in scores)
        with self.counters.lock:
            self._failures = 0 if failed < len(scores) else self._failures + failed
            self.counters.arms.candidate.errors += failed

    def _by_champion(self, matrix: FloatMatrix, live: LiveModel, rows: int) -> FloatMatrix:
        try:
            scores = run_model(live, matrix)
        except Exception:
            with self.counters.lock:
                self.counters.arms.champion.errors += rows
            raise
        failed = sum(not usable(row) for row in scores)
        if failed:
            with self.counters.lock:
                self.counters.arms.champion.errors += failed
        return scores
