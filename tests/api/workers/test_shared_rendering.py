"""Figures are rendered once for all who ask at a time, and never older than the question."""

import asyncio
import threading
import time

from api.workers.merged_metrics import SharedRendering


class Counting:
    """Renders how often it was asked to; takes its time."""

    def __init__(self) -> None:
        self.times = 0
        self.at_work = 0
        self.most_at_work = 0
        self._lock = threading.Lock()

    def __call__(self) -> bytes:
        with self._lock:
            self.times += 1
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
            told = b"%d" % self.times
        time.sleep(0.01)
        with self._lock:
            self.at_work -= 1
        return told


def test_a_thousand_who_ask_at_once_cost_two_renderings_at_most() -> None:
    counting = Counting()

    async def ask() -> set[bytes]:
        rendering = SharedRendering(counting, "test")
        return set(await asyncio.gather(*(rendering() for _ in range(1_000))))

    assert len(asyncio.run(ask())) <= 2
    assert counting.times <= 2
    assert counting.most_at_work == 1


def test_who_asks_while_one_is_at_work_gets_the_next_one() -> None:
    counting = Counting()

    async def ask() -> tuple[bytes, bytes]:
        rendering = SharedRendering(counting, "test")
        first = asyncio.create_task(rendering())
        while not counting.at_work:  # noqa: ASYNC110 - set on another thread
            await asyncio.sleep(0.001)
        second = await rendering()
        return await first, second

    assert asyncio.run(ask()) == (b"1", b"2")


def test_one_who_goes_away_takes_nothing_from_the_others() -> None:
    async def ask() -> bytes:
        rendering = SharedRendering(Counting(), "test")
        gone, stays = asyncio.create_task(rendering()), asyncio.create_task(rendering())
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(ask()) == b"1"
