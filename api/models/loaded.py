"""A loaded version bound to a use case, and how long it takes for a row in this process."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shared.scoring.model import Model, check_fits
from shared.tasks.observed import PROBABILITY_EDGES
from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel, ServingUseCase

SLOW_SECONDS = 0.02
"""A call of one row that takes longer delays everything else on the event loop."""

QUICK_SECONDS = 0.005
"""A slow version is quick again when a call, of whatever number of rows, takes less."""

_TIMES = 2


# a minimum of several calls: another process may have interrupted one
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
