"""One rendering for all requests at the same time, and pauses between two.

Rendering metrics holds the interpreter for milliseconds. No answer is older than its request, and a
thousand concurrent requests cost little more than one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Pause after a rendering, as a multiple of its duration: leaves time for other work.
_PAUSE_TIMES = 4.0
_LONGEST_PAUSE_SECONDS = 0.25


class SharedRendering:
    """Renders on a separate thread; everything else happens on one event loop."""

    def __init__(self, render: Callable[[], bytes], name: str) -> None:
        self._render = render
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[bytes] | None = None
        self._free_at = 0.0

    async def __call__(self) -> bytes:
        """A rendering that begins after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._rendered())
        # shield: cancelling one waiting request must not cancel the others' rendering
        return await asyncio.shield(self._next)

    async def _rendered(self) -> bytes:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            # requests that arrive from here on get a new rendering
            self._next = None
            began = loop.time()
            text = await loop.run_in_executor(self._thread, self._render)
            took = loop.time() - began
            self._free_at = loop.time() + min(_PAUSE_TIMES * took, _LONGEST_PAUSE_SECONDS)
            return text
