"""Short turns on the processor, for work that can wait beside somebody who cannot.

Linux changes turns at a tick, every 4 ms on many machines: as long as an answer may take at all.
Who rests gives its turn up at once and comes back at a tick, so nobody waits for more than what
is done between two rests.
"""

import time

_TURN_NS = 1_000_000
_REST_SECONDS = 50e-6


class CooperativeYield:
    """Called often by whoever works, it rests when a turn is over."""

    def __init__(self) -> None:
        self._began_ns = time.thread_time_ns()

    def __call__(self) -> int:
        """Rest, perhaps; 0, which SQLite takes for: go on."""
        if time.thread_time_ns() - self._began_ns > _TURN_NS:
            time.sleep(_REST_SECONDS)
            self._began_ns = time.thread_time_ns()
        return 0
