"""The circuit breaker: rolls back a version that throws, answers NaN or takes too long.

Rows it fails on are answered by the other version in memory. Only a row that the other one can
score counts against the version; otherwise one malformed row could trigger a rollback. Nothing here
runs while all is well.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from api.http.problems import Problem
from api.metrics import Metrics
from api.models.model_slot import LiveModel, ModelSlot
from shared.usecase.serving import FloatMatrix

# A verdict is reused for this long: each check scores the row again with the fallback.
_VERDICT_SECONDS = 1.0
# A fallback that takes more than this share of the live version's time is as slow.
_AS_SLOW = 0.5

_log = structlog.get_logger()
RollBack = Callable[[str, str], None]
"""Roll back from this version for this reason; called on a separate thread."""


class Slowness:
    """Compares a version with its fallback, on one row and at the same moment.

    The duration of one call alone is not evidence: on an overloaded machine every model is slow.
    Both score one more row, so that both are slowed down equally.

    Attributes:
        row_seconds: the budget of a row, in the model alone; infinity: there is none.
    """

    def __init__(self, row_seconds: float) -> None:
        self.row_seconds = row_seconds or float("inf")
        self._version = ""
        self._until = 0.0
        self._is_to_blame = False

    def is_to_blame(
        self, model: LiveModel, others: Sequence[LiveModel], matrix: FloatMatrix
    ) -> bool:
        """True if this version alone makes rows wait, as found within the last second."""
        if self._version != model.version or time.monotonic() > self._until:
            self._version = model.version
            self._is_to_blame = self._judge(model, others, matrix[:1])
            self._until = time.monotonic() + _VERDICT_SECONDS
        return self._is_to_blame

    def _judge(self, model: LiveModel, others: Sequence[LiveModel], row: FloatMatrix) -> bool:
        own = _seconds(model, row)
        if own <= self.row_seconds:
            return False
        # the minimum of two calls: the first call of an idle model is slower
        return any(
            min(_seconds(other, row), _seconds(other, row)) < own * _AS_SLOW for other in others
        )


def _seconds(model: LiveModel, row: FloatMatrix) -> float:
    """The seconds it takes for a row; infinity if it fails."""
    began = time.perf_counter()
    try:
        model.score(row)
    except Exception:  # noqa: BLE001 - it is not a remedy, whatever it is
        return float("inf")
    return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Roll back after this many failures within this time. 0 failures disables it.

    Attributes:
        row_seconds: a call that takes longer a row is a failure, unless its fallback is as slow;
            0: it may take as long as it likes.
    """

    failures: int
    window_seconds: float
    row_seconds: float = 0.0


class Breaker:
    """Counts failures of the live version, and trips at most once per version."""

    def __init__(
        self, models: ModelSlot, roll_back: RollBack, limits: BreakerLimits, metrics: Metrics
    ) -> None:
        self._models = models
        self._roll_back = roll_back
        self._limits = limits
        self._metrics = metrics
        self._slowness = Slowness(limits.row_seconds)
        self.row_seconds = self._slowness.row_seconds
        self._lock = threading.Lock()
        self._version = ""
        self._failures: deque[float] = deque()
        self._tripping: threading.Thread | None = None

    def instead(
        self, failing: LiveModel, matrix: FloatMatrix, failure: Problem
    ) -> tuple[LiveModel, FloatMatrix]:
        """Another version's scores of rows that this one could not score.

        Raises:
            Problem: the failure itself, when no other version can score all of these rows either.
        """
        for other in self._others(failing):
            scores = _scores(other, matrix)
            if scores is not None and np.isfinite(scores).all():
                self._failed(failing.version, len(matrix), failure.detail)
                return other, scores
        raise failure

    def mended(
        self, failing: LiveModel, matrix: FloatMatrix, scores: FloatMatrix, failure: Problem
    ) -> tuple[LiveModel, FloatMatrix]:
        """Another version's scores of a whole batch, if it can score more of its rows."""
        bad = ~np.isfinite(scores).all(axis=1)
        for other in self._others(failing):
            others = _scores(other, matrix)
            if others is None:
                continue
            still_bad = ~np.isfinite(others).all(axis=1)
            if still_bad.sum() < bad.sum():
                mended = int((bad & ~still_bad).sum())
                self._failed(failing.version, mended, failure.detail)
                return other, others
        return failing, scores

    def overran(self, model: LiveModel, matrix: FloatMatrix, row_seconds: float) -> None:
        """A call took longer a row than it may; what it answered is used all the same."""
        if not self._slowness.is_to_blame(model, self._others(model), matrix):
            return
        self._metrics.breaker_overruns.inc()
        finding = f"version {model.version} took {row_seconds:.3g} s a row"
        self._count(model.version, 1, f"{finding}, the limit is {self.row_seconds:g} s")

    def blame(self, failing: LiveModel, failure: Problem) -> None:
        """Count a row that this version scored but could not answer, and another version could."""
        self._failed(failing.version, 1, failure.detail)

    def close(self) -> None:
        """Wait for a rollback under way."""
        tripping = self._tripping
        if tripping is not None:
            tripping.join()

    def _others(self, failing: LiveModel) -> list[LiveModel]:
        """The other versions in memory; first the live one, if that has changed."""
        loaded = (self._models.live, self._models.fallback)
        return [model for model in loaded if model and model.version != failing.version]

    def _failed(self, version: str, rows: int, detail: str) -> None:
        self._metrics.breaker_failures.inc(rows)
        self._metrics.versions.failed(version, rows)
        self._count(version, rows, detail)

    def _count(self, version: str, failures: int, detail: str) -> None:
        live = self._models.live
        with self._lock:
            if not self._limits.failures or live is None or live.version != version:
                return
            if self._counted(version, failures) < self._limits.failures:
                return
            self._failures.clear()
            if self._tripping is not None and self._tripping.is_alive():
                return
            self._tripping = threading.Thread(
                target=self._trip, args=(version, detail), name="breaker", daemon=True
            )
            self._tripping.start()

    def _counted(self, version: str, rows: int) -> int:
        """Failures of this version within the window, with these."""
        now = time.monotonic()
        if version != self._version:
            self._version = version
            self._failures.clear()
        # Entries beyond the limit change nothing, and a batch may have thousands of rows.
        self._failures.extend([now] * min(rows, self._limits.failures))
        while self._failures and self._failures[0] < now - self._limits.window_seconds:
            self._failures.popleft()
        return len(self._failures)

    def _trip(self, version: str, detail: str) -> None:
        limits = self._limits
        reason = f"{limits.failures} failures within {limits.window_seconds:g} s: {detail}"
        _log.error("breaker_tripped", version=version, reason=reason)
        self._metrics.breaker_trips.inc()
        self._roll_back(version, reason)


def _scores(model: LiveModel, matrix: FloatMatrix) -> FloatMatrix | None:
    try:
        return model.score(matrix)
    except Exception:  # noqa: BLE001 - it cannot help, whatever it is
        return None
