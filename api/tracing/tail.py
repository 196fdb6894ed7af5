"""The tail rule: which work is kept as a trace, decided once its outcome and duration are known.

| kept      | when                                                                          |
|-----------|-------------------------------------------------------------------------------|
| `error`   | an answer is 500 or above                                                     |
| `caller`  | a caller sent a sampled `traceparent`                                         |
| `slow`    | it took longer than 99 % of the rows of the last minute                       |
| `chance`  | one row in 4,096                                                              |

At most twenty a second are kept, and half of them only if they are errors: slow rows and callers
who ask for traces leave room for failures. What is over is counted.
"""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from itertools import accumulate

ROWS_A_SAMPLE = 4_096
KEPT_A_SECOND = 20
_WITHOUT_ERROR_A_SECOND = KEPT_A_SECOND // 2
_LOOKS, _LOOK_SECONDS = 7, 10.0
_FEWEST_ROWS = 200
_QUICKER_SHARE = 0.99


class LastMinute:
    """The 99th percentile of the last minute, from counts that are kept anyway.

    Attributes:
        threshold_seconds: what takes longer is slow; infinite while few rows are known.
    """

    def __init__(self, edges: Sequence[float], counts: Sequence[int]) -> None:
        """`counts` grow as rows are answered, one for each edge and one beyond the last."""
        self._edges = edges
        self._counts = counts
        self._looks: deque[list[int]] = deque(maxlen=_LOOKS)
        self._next_look = -math.inf
        self.threshold_seconds = math.inf

    def is_slow(self, seconds: float, now: float) -> bool:
        """True if this is slower than 99 % of the preceding minute."""
        if now >= self._next_look:
            self._look(now)
        return seconds > self.threshold_seconds

    def _look(self, now: float) -> None:
        if now >= self._next_look + _LOOKS * _LOOK_SECONDS:
            self._looks.clear()
        self._next_look = now + _LOOK_SECONDS
        self._looks.append(list(self._counts))
        newest, oldest = self._looks[-1], self._looks[0]
        self.threshold_seconds = _percentile(
            self._edges, [after - before for after, before in zip(newest, oldest, strict=True)]
        )


def _percentile(edges: Sequence[float], counts: Sequence[int]) -> float:
    """Between the edges of its bucket in proportion; infinite where it is beyond the last."""
    running = list(accumulate(counts))
    rows = running[-1]
    if rows < _FEWEST_ROWS:
        return math.inf
    wanted = rows * _QUICKER_SHARE
    place = bisect_left(running, wanted)
    if place == len(edges):
        return math.inf
    low = edges[place - 1] if place else 0.0
    share = (wanted - (running[place] - counts[place])) / counts[place]
    return low + share * (edges[place] - low)


class TailSampler:
    """Says why something is kept, and counts what is and what is not.

    Attributes:
        kept: by reason.
        over_limit: what would have been kept beyond the number a second.
    """

    def __init__(self) -> None:
        self.kept: Counter[str] = Counter()
        self.over_limit = 0
        self._rows = 0
        self._second, self._in_second = 0, 0

    def why(
        self,
        now: float,
        rows: int,
        has_failed: bool,
        is_sampled: bool,
        is_slow: bool,
    ) -> str | None:
        """The reason to keep this; None: it is not kept."""
        self._rows += rows
        is_chosen = self._rows >= ROWS_A_SAMPLE
        if is_chosen:
            self._rows %= ROWS_A_SAMPLE
        if has_failed:
            return self._admitted("error", now)
        if is_sampled:
            return self._admitted("caller", now)
        if is_slow:
            return self._admitted("slow", now)
        return self._admitted("chance", now) if is_chosen else None

    def _admitted(self, why: str, now: float) -> str | None:
        """The reason, while this second has room."""
        second = int(now)
        if second != self._second:
            self._second, self._in_second = second, 0
        limit = KEPT_A_SECOND if why == "error" else _WITHOUT_ERROR_A_SECOND
        if self._in_second >= limit:
            self.over_limit += 1
            return None
        self._in_second += 1
        self.kept[why] += 1
        return why
