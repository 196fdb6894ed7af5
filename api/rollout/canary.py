"""A canary: some users get the candidate's answers, and it never costs them one.

A row that the candidate fails on is answered by the champion and counts as the candidate's error. A
row that neither version can score does not count; otherwise one malformed row could end a rollout.
When the candidate fails on many rows in a row, the process stops using it at once.
"""

from collections.abc import Callable, Sequence

import structlog

from api.journal.entries import Decided
from api.models.model_slot import LiveModel, ModelScores, Pace, usable
from api.registry.rollouts import Rollout
from api.rollout.arm_counts import Counters
from api.rollout.bucket import Splitter, limit_of
from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel, TaskPrediction

_log = structlog.get_logger()
Judge = Callable[[FloatVector, ServedModel], TaskPrediction]
# Consecutive failures after which the candidate counts as broken.
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
        self.champion, self.version = rollout.champion, rollout.version
        self.candidate = candidate
        self.counters = counters
        self._judge = judge
        self._broken = broken
        self._splitter = Splitter(rollout.salt)
        self._limit = limit_of(rollout.share_percent)
        self._failures = 0

    @property
    def pace(self) -> Pace:
        return self.candidate.pace

    def try_candidate(self, users: Sequence[str], matrix: FloatMatrix) -> dict[int, ModelScores]:
        if self._failures >= BROKEN_AFTER:
            return {}
        place = self._splitter.place
        chosen = [at for at, user in enumerate(users) if place(user).bucket < self._limit]
        if not chosen:
            return {}
        rows = matrix if len(chosen) == len(users) else matrix[chosen]
        try:
            scores = self.candidate.score(rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, the champion answers
            if self._failures == 0:
                _log.error("candidate_failed", version=self.rollout.version, error=str(error)[:500])
            return {}
        found = zip(chosen, scores, strict=True)
        return {at: (self.candidate, row) for at, row in found if usable(row)}

    def noted(self, decided: Decided, latency_ms: float | None) -> None:
        place = self._splitter.place(decided.transaction.user_id)
        served, arms = decided.served.version, self.counters.arms
        in_canary = place.bucket < self._limit
        counts = arms.candidate if in_canary else arms.champion
        wanted = self.rollout.version if in_canary else self.rollout.champion
        prediction = self._judge(decided.scores, decided.served)
        with self.counters.lock:
            self.counters.met(place.unit, in_candidate=in_canary)
            if in_canary:
                self._failures = 0 if served == wanted else self._failures + 1
            if served != wanted:
                # Another version scored the row in place of the assigned one.
                counts.errors += 1
                return
            counts.scored(place.group, prediction.score, is_alert=prediction.is_alert)
            if latency_ms is not None:
                counts.took(place.group, latency_ms)

    def settle(self) -> None:
        self.counters.flush()
        if self._failures >= BROKEN_AFTER:
            self._broken(f"{BROKEN_AFTER} rows in a row could not be scored")

    def stop(self) -> None:
        self.counters.flush()
