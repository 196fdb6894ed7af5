"""How many batches are taken apart at once: a document parsed is many times its body."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MIB = 1024 * 1024
ROOM_BYTES = 8 * MIB


class BatchRoom:
    """Room for bodies of so many bytes in all, on one event loop; first come, first served.

    One that is larger than the room has it to itself. Those that wait are bodies only, which
    the protocol bounds in sum.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room_bytes = room_bytes
        self._used_bytes = 0
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
            self._used_bytes += body_bytes
        try:
            yield
        finally:
            self._release(body_bytes)

    def _fits(self, body_bytes: int) -> bool:
        return self._used_bytes == 0 or self._used_bytes + body_bytes <= self._room_bytes

    def _release(self, body_bytes: int) -> None:
        self._used_bytes -= body_bytes
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._used_bytes += size
                turn.set_result(None)
