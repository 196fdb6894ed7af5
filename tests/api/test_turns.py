"""Requests of one moment are spread over turns of the loop."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from api.http.threads import FairTurns


@given(st.integers(1, 5), st.integers(0, 40))
def test_each_turn_admits_a_few_and_all_come_in_order(per_turn: int, count: int) -> None:
    admitted: list[int] = []
    in_turn: list[int] = []

    async def ask(turns: FairTurns, number: int) -> None:
        await turns.wait()
        admitted.append(number)

    async def main() -> None:
        turns = FairTurns(per_turn)
        tasks = [asyncio.create_task(ask(turns, number)) for number in range(count)]
        before = 0
        while len(admitted) < count:
            await asyncio.sleep(0)
            in_turn.append(len(admitted) - before)
            before = len(admitted)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert admitted == list(range(count))
    # two turns of the gate may meet in one turn of the loop
    assert all(some <= 2 * per_turn for some in in_turn)


def test_one_who_gave_up_takes_no_turn() -> None:
    admitted: list[int] = []

    async def ask(turns: FairTurns, number: int) -> None:
        await turns.wait()
        admitted.append(number)

    async def main() -> None:
        turns = FairTurns(1)
        tasks = [asyncio.create_task(ask(turns, number)) for number in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert admitted == [0, 2, 3]
