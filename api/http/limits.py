"""How often: so many at once, and then so many a minute, for each key on its own.

The generic cell rate algorithm: one number a key, the instant at which its bucket is full
again. Counted in this process; with several workers each counts what reaches it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

# A stranger with many addresses may not fill the memory: the longest unseen is forgotten.
_MAX_KEYS = 10_000
_MINUTE = 60.0


class RateLimit:
    """`per_minute` requests at once, and as many a minute from then on; 0: no limit."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._step = _MINUTE / per_minute if per_minute else 0.0
        self._now = now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, key: str) -> float:
        """Count one request; more than 0: it is over the limit and was not counted."""
        if not self._step:
            return 0.0
        now = self._now()
        full_at = max(self._full_at.get(key, now), now) + self._step
        over = full_at - now - _MINUTE
        # sums of steps are not exact, and the last one of a minute is still within it
        if over > self._step / 2:
            return over
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > _MAX_KEYS:
            self._full_at.popitem(last=False)
        return 0.0
