"""A canary: some users get the candidate's answers, and it never costs them one.

A user is in while its bucket, by a keyed hash, lies below the share. The bucket never changes
during a rollout, so a growing share only ever adds users and no user changes back. Every rollout
has its own salt, so that the first users differ between rollouts. A row without a user gets a new
id from the use case, so it is assigned by row; sent again under its transaction_id it is answered
as before, by whichever version that was.

A row that the candidate fails on is answered by the champion and counts as the candidate's error. A
row that neither version can score does not count; otherwise one malformed row could end a rollout.
When the candidate fails on many rows in a row, the process stops using it at once.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import structlog

from api.journal.entries import Decided
from api.models.model_slot import LiveModel, ModelScores, Pace, usable
from api.registry.rollouts import Rollout
from api.rollout.arm_counts import GROUPS, Counters
from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel, TaskPrediction

BUCKETS = 10_000
_WORD = 1 << 32
_log = structlog.get_logger()
Judge = Callable[[FloatVector, ServedModel], TaskPrediction]
# Consecutive failures after which the candidate counts as broken.
BROKEN_AFTER = 10


class UserBucket(NamedTuple):
    """The assignment of a user.

    Attributes:
        bucket: 0 to 9,999; decides on the arm.
        group: 0 to 63, independent of the bucket; rows of one user share it, so groups show how
            much rows of one arm differ between users.
        unit: 63 bits that stand for the user when users are counted.
    """

    bucket: int
    group: int
    unit: int


class Splitter:
    """Places users; costs about a microsecond."""

    def __init__(self, salt: str) -> None:
        self._keyed = blake2b(key=salt.encode(), digest_size=16)

    def place(self, user_id: str) -> UserBucket:
        keyed = self._keyed.copy()
        keyed.update(user_id.encode("utf-8", "surrogatepass"))
        number = int.from_bytes(keyed.digest(), "little")
        bucket = (number % _WORD) * BUCKETS // _WORD
        return UserBucket(bucket, (number >> 32) % GROUPS, number >> 65)


def limit_of(share_percent: float) -> int:
    """Users whose bucket is below this are in."""
    return round(share_percent * BUCKETS / 100)


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
