"""How long a version takes for a row, as measured; decides where its rows are scored."""

SLOW_SECONDS = 0.02
"""A call of one row that takes longer keeps everybody else on the event loop waiting."""

QUICK_SECONDS = 0.005
"""A slow version is quick again when a call, of whatever number of rows, takes less."""

_TIMES = 2
# one call may have been interrupted by another process


class Pace:
    """One version's calls in this process. A float more or less is no harm: no lock.

    Attributes:
        row_seconds: by the last calls; None: there was none, and nothing was measured before.
        is_slow: calls do not belong on the event loop.
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
