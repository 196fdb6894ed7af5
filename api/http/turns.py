"""A few requests a turn of the event loop: the others of the same moment wait for the next turn.

A loop runs all that has arrived before it looks for more. When hundreds ask at once for what takes
a fraction of a millisecond each, a row that arrives meanwhile would wait for all of them.
"""

import asyncio
from collections import deque

# About two milliseconds of ordinary answers.
_PER_TURN = 8


class FairTurns:
    """Admits a bounded number of requests in each iteration of the running event loop."""

    def __init__(self, per_turn: int = _PER_TURN) -> None:
        self._per_turn = per_turn
        self._left = per_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_next_asked = False

    async def wait(self) -> None:
        """Return in the first turn that has room, in order of arrival."""
        loop = asyncio.get_running_loop()
        if not self._is_next_asked:
            self._is_next_asked = True
            loop.call_soon(self._begin, loop)
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """A new turn: those who wait come first."""
        self._left = self._per_turn
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        self._is_next_asked = bool(self._waiting)
        if self._is_next_asked:
            loop.call_soon(self._begin, loop)
