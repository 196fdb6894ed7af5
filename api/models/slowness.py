"""Whether a version that takes too long is to blame itself: its fallback is asked the same."""

import time
from collections.abc import Sequence

from api.models.loaded import LiveModel
from shared.usecase.serving import FloatMatrix

# A verdict stands for this long: asking costs the version's time once more.
_VERDICT_SECONDS = 1.0
# A fallback that takes more than a half of it is no remedy.
_AS_SLOW = 0.5


class Slowness:
    """Compares a version with its fallback, on one row and at the same moment.

    What a call took says nothing by itself: on a machine that has too much to do every model is
    slow. Both are asked one row more, so whatever slows one down slows down the other.

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
        """Whether it alone makes rows wait, as was found within the last second."""
        if self._version != model.version or time.monotonic() > self._until:
            self._version = model.version
            self._is_to_blame = self._judge(model, others, matrix[:1])
            self._until = time.monotonic() + _VERDICT_SECONDS
        return self._is_to_blame

    def _judge(self, model: LiveModel, others: Sequence[LiveModel], row: FloatMatrix) -> bool:
        own = _seconds(model, row)
        if own <= self.row_seconds:
            return False
        # the better of two: the first call of a model that has rested is slower
        return any(
            min(_seconds(other, row), _seconds(other, row)) < own * _AS_SLOW for other in others
        )


def _seconds(model: LiveModel, row: FloatMatrix) -> float:
    """How long it takes for a row; infinity if it fails."""
    began = time.perf_counter()
    try:
        model.score(row)
    except Exception:  # noqa: BLE001 - it is no remedy, whatever it is
        return float("inf")
    return time.perf_counter() - began
