"""How many batches are taken apart at once: a document parsed is many times its body."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MIB = 1024 * 1024
ROOM_BYTES = 8 * MIB
# The answers of a batch grow while it is scored: those of a wrong row to ten times the row.
ROOM_BATCHES = 8


class BatchRoom:
    """Room for some batches and bytes in all, on one event loop; first come, first served.

    One that is larger than the room has it to itself. Those that wait are bodies only, which
    the protocol bounds in sum.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES, room_batches: int = ROOM_BATCHES) -> None:
        self._room_bytes = room_bytes
        self._room_batches = room_batches
        self._used_bytes = 0
        self._used_batches = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, body_bytes: int) -> AsyncIterator[None]:
        """Room for one body, as soon as it is its turn."""
        if self._waiting or not self._fits(body_bytes):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((body_bytes, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._release(body_bytes)
                raise
        else:
            self._take(body_bytes)
        try:
            yield
        finally:
            self._release(body_bytes)

    def _fits(self, body_bytes: int) -> bool:
        if self._used_batches == 0:
            return True
        is_full = self._used_batches >= self._room_batches
        return not is_full and self._used_bytes + body_bytes <= self._room_bytes

    def _take(self, body_bytes: int) -> None:
        self._used_bytes += body_bytes
        self._used_batches += 1

    def _release(self, body_bytes: int) -> None:
        self._used_bytes -= body_bytes
        self._used_batches -= 1
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._take(size)
                turn.set_result(None)
