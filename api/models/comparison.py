"""Compares a new version with its predecessor: the same rows, at the same time and load.

A comparison with the time before the swap would attribute a higher load, unusual rows or a quiet
day to the version. So for its first hour a few of its calls are repeated with the fallback, which
is in memory anyway; both are timed and decide about the same rows. It costs at most half a percent
of the time, and under little load sees every row.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from shared.usecase.serving import FloatMatrix, FloatVector

if TYPE_CHECKING:
    from api.models.model_slot import LiveModel

# After its first hour a version is not considered the cause: rolling back would not help.
FRESH_SECONDS = 3_600.0
# A call that takes t seconds is repeated after 200 t at the earliest, and at most 100 times/s.
_SHARE = 200
_PAUSE_SECONDS = 0.01
_MOST_ROWS = 64

Decide = Callable[[int, FloatVector, "LiveModel"], str]
"""The decision about a row, by its place in the matrix, with these scores of this version."""


class Comparison:
    """The counts since the activation; scoring reads `due` and calls `repeat`.

    Attributes:
        due: when the next call is to be repeated, `time.perf_counter`.
        seconds: of the live version and its predecessor, for the rows compared.
    """

    def __init__(self, live: "LiveModel", predecessor: "LiveModel", fresh_seconds: float) -> None:
        self.live = live
        self.predecessor = predecessor
        self.rows = 0
        self.seconds = [0.0, 0.0]
        self.decisions: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._ends = time.perf_counter() + fresh_seconds
        self.due = 0.0 if fresh_seconds > 0 else float("inf")
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """True if the version is no longer fresh."""
        return time.perf_counter() >= self._ends

    def repeat(
        self, matrix: FloatMatrix, seconds: float, decisions: Sequence[str | None], decide: Decide
    ) -> None:
        """Score rows that the live version has just scored with its predecessor.

        `seconds` is what the live version took, `decisions` what it decided; None: the decision
        about this row is not compared.
        """
        if len(matrix) > _MOST_ROWS or not self._lock.acquire(blocking=False):
            return
        try:
            self._repeat(matrix, seconds, decisions, decide)
        finally:
            self._lock.release()

    def _repeat(
        self, matrix: FloatMatrix, seconds: float, decisions: Sequence[str | None], decide: Decide
    ) -> None:
        began = time.perf_counter()
        try:
            scores = self.predecessor.score(matrix)
            took = time.perf_counter() - began
            pairs = [
                (mine, decide(row, scores[row], self.predecessor))
                for row, mine in enumerate(decisions)
                if mine is not None and np.isfinite(scores[row]).all()
            ]
        except Exception:  # noqa: BLE001 - what the predecessor cannot score cannot be compared
            self._rest(began)
            return
        self.rows += len(matrix)
        self.seconds[0] += seconds
        self.seconds[1] += took
        self.decisions[0].update(mine for mine, _ in pairs)
        self.decisions[1].update(other for _, other in pairs)
        self._rest(began)

    def _rest(self, began: float) -> None:
        now = time.perf_counter()
        self.due = now + max(_PAUSE_SECONDS, _SHARE * (now - began))
        if now >= self._ends:
            self.due = float("inf")


def compared(
    live: "LiveModel", fallback: "LiveModel | None", fresh_seconds: float, known: Comparison | None
) -> Comparison | None:
    """The comparison of the live version; the known one, where it is of the same two.

    None: there is nothing to compare with, or the version is not fresh.
    """
    if fallback is None or fresh_seconds <= 0:
        return None
    if known is not None and (known.live.version, known.live.activated_at_us) == (
        live.version, live.activated_at_us,
    ) and known.predecessor.version == fallback.version:  # fmt: skip
        return known
    return Comparison(live, fallback, fresh_seconds)
