"""Versions in this process: loaded ones, the one on trial, and the slot that they stand in.

`LiveModel` is a loaded version bound to a use case, `Pace` how long it takes for a row here,
`Trial` what scoring sees of a rollout, and `ModelSlot` the one reference to all of them.
"""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from api.models.comparison import Comparison, compared
from shared.scoring.model import Model, check_fits
from shared.tasks.observed import PROBABILITY_EDGES
from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel, ServingUseCase

if TYPE_CHECKING:
    from api.journal.entries import Decided

NO_VERSION = "none"

SLOW_SECONDS = 0.02
"""A call of one row that takes longer delays everything else on the event loop."""

QUICK_SECONDS = 0.005
"""A slow version is quick again when a call, of whatever number of rows, takes less."""

# a minimum of several calls: another process may have interrupted one
_TIMES = 2


class Pace:
    """The latency estimate of one version in this process; no lock, since it may be imprecise.

    Attributes:
        row_seconds: by the last calls; None: there was none, and nothing was measured before.
        is_slow: calls are too slow for the event loop.
    """

    __slots__ = ("_against", "is_slow", "last_row_seconds", "row_seconds")

    def __init__(self, row_seconds: float | None = None) -> None:
        self.row_seconds = row_seconds
        self.last_row_seconds = 0.0
        self.is_slow = row_seconds is not None and row_seconds > SLOW_SECONDS
        self._against = 0

    def took(self, rows: int, seconds: float) -> None:
        """A call was made. Rising slowly and falling at once, a hiccup is soon forgotten."""
        each = self.last_row_seconds = seconds / rows
        known = self.row_seconds
        if known is None:
            self.is_slow = each > SLOW_SECONDS
            self.row_seconds = each
            return
        self.row_seconds = each if each < known else (each + known) / 2
        is_against = seconds < QUICK_SECONDS if self.is_slow else each > SLOW_SECONDS
        if not is_against:
            self._against = 0
            return
        self._against += 1
        if self._against >= _TIMES:
            self._against = 0
            self.is_slow = not self.is_slow


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A loaded version, ready to score vectors of the use case's whole feature set.

    Attributes:
        columns: which of them the model was trained on, in its order; None: all, as they are.
        pace: how long it takes in this process.
        score_edges: the bins in which its scores are counted.
    """

    model: Model
    served: ServedModel
    columns: npt.NDArray[np.intp] | None
    activated_at_us: int
    pace: Pace = field(default_factory=Pace)
    score_edges: tuple[float, ...] = PROBABILITY_EDGES

    @property
    def version(self) -> str:
        return self.served.version

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        """Component scores of whole vectors, (rows, features) -> (rows, components)."""
        if self.columns is not None:
            matrix = matrix[:, self.columns]
        began = time.perf_counter()
        scores = self.model.score(matrix)
        self.pace.took(len(matrix), time.perf_counter() - began)
        return scores


def usable(scores: FloatVector) -> bool:
    """True if every component is finite; cheaper than numpy for a handful of numbers."""
    return all(map(math.isfinite, scores.tolist()))


def make_live(model: Model, use_case: ServingUseCase, activated_at_us: int) -> LiveModel:
    """Bind a loaded model to the columns it reads.

    Raises:
        ModelLoadError: it does not fit the use case.
    """
    manifest = model.manifest
    check_fits(manifest, use_case)
    names = use_case.feature_set.names
    columns = None
    if manifest.feature_names != names:
        columns = np.array([names.index(name) for name in manifest.feature_names], dtype=np.intp)
    served = ServedModel(manifest.version, manifest.components, dict(manifest.thresholds))
    return LiveModel(model, served, columns, activated_at_us)


ModelScores = tuple[LiveModel, FloatVector]
"""The model that answers for a row, and its scores, all of them finite."""


class Trial(Protocol):
    """The rollout's interface for scoring; it never fails because of the candidate."""

    @property
    def champion(self) -> str:
        """The version it is measured against."""
        ...

    @property
    def version(self) -> str:
        """The version on trial."""
        ...

    @property
    def pace(self) -> Pace:
        """The candidate's latency on rows that it answers."""
        ...

    def try_candidate(self, users: Sequence[str], matrix: FloatMatrix) -> dict[int, ModelScores]:
        """Row -> which model answers it and with which scores; the others are the champion's.

        Never raises: what the candidate cannot score is omitted.
        """
        ...

    def noted(self, decided: "Decided", latency_ms: float | None) -> None:
        """Record an answered row; None: its latency is unknown."""
        ...


class ModelSlot:
    """The live version and its loaded fallback, for an immediate rollback.

    Readers take `live` once and use only that: assignment of a reference is atomic.
    """

    def __init__(self) -> None:
        self.live: LiveModel | None = None
        self.fallback: LiveModel | None = None
        # The version on trial, compared with the live one; usually None.
        self.trial: Trial | None = None
        # The comparison of a fresh live version with its fallback, otherwise None.
        self.comparison: Comparison | None = None
        self._lock = threading.Lock()
        self.version_header = NO_VERSION.encode()

    @property
    def version(self) -> str:
        return NO_VERSION if self.live is None else self.live.version

    def assign(
        self, live: LiveModel, fallback: LiveModel | None, fresh_seconds: float = 0.0
    ) -> None:
        """Callers hold the swap's lock.

        `fresh_seconds`: for how long the version is compared with its fallback.
        """
        with self._lock:
            if self.trial is not None and self.trial.champion != live.version:
                # Any change of the live version ends a trial against the old champion.
                self.trial = None
            self.fallback = fallback
            self.comparison = compared(live, fallback, fresh_seconds, self.comparison)
            self.live = live
            self.version_header = live.version.encode()

    def try_out(self, trial: Trial | None) -> bool:
        """Put a version on trial, or none; False: its champion is not the live one."""
        with self._lock:
            if trial is not None and trial.champion != self.version:
                return False
            self.trial = trial
            return True
