"""A bounded number of batches and bytes is parsed at once; the others wait their turn."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from api.scoring.lane import BatchRoom


@given(st.lists(st.integers(1, 15), max_size=20))
def test_the_bound_holds_order_is_kept_and_everybody_gets_in(sizes: list[int]) -> None:
    room, entered = BatchRoom(10, room_batches=3), []
    inside, batches = [0], [0]

    async def enter(at: int, size: int) -> None:
        async with room.of(size):
            inside[0] += size
            batches[0] += 1
            assert batches[0] <= 3
            entered.append(at)
            assert inside[0] <= 10 or inside[0] == size
            await asyncio.sleep(0)
            inside[0] -= size
            batches[0] -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(enter(at, size) for at, size in enumerate(sizes)))

    asyncio.run(all_of_them())
    assert entered == list(range(len(sizes)))


def test_one_who_gives_up_waiting_leaves_its_room_to_the_next() -> None:
    async def scene() -> bool:
        room = BatchRoom(10)
        async with room.of(10):
            waits = asyncio.create_task(_enter(room))
            follows = asyncio.create_task(_enter(room))
            await asyncio.sleep(0)
            waits.cancel()
        return await asyncio.wait_for(follows, 5)

    assert asyncio.run(scene())


async def _enter(room: BatchRoom) -> bool:
    async with room.of(10):
        return True
