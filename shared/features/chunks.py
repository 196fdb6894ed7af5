"""Work on one range of rows by several threads at once, for code that lets go of the lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_SMALL = 20_000


def in_chunks(total: int, work: Callable[[int, int], None]) -> None:
    """Call `work(start, stop)` so that every row of [0, total) is covered once."""
    workers = os.cpu_count() or 1
    if total <= _SMALL or workers == 1:
        work(0, total)
        return
    # more chunks than workers: histories differ in length, and workers should not wait for the
    # longest chunk
    bounds = [total * part // (workers * 4) for part in range(workers * 4 + 1)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))
