"""Turns: reads from servers yield to the event loop, so that other work makes progress."""

import asyncio

from service.platforms.egress.wire import READS_PER_TURN
from service.runtime.turns import Turns


async def reads(turns: Turns, count: int) -> None:
    for _ in range(count):
        await turns.take()


async def test_others_get_a_turn_between_a_few_reads() -> None:
    """READS_PER_TURN reads in each turn of the event loop, and round robin over the connections."""
    turns = Turns(READS_PER_TURN)
    done = [0] * 20
    left = 20 * 10

    async def connection(number: int) -> None:
        nonlocal left
        for _ in range(10):
            await turns.take()
            done[number] += 1
            left -= 1

    tasks = [asyncio.create_task(connection(number)) for number in range(len(done))]
    while left:
        before = left
        await asyncio.sleep(0)
        assert before - left <= 2 * READS_PER_TURN
        assert max(done) - min(done) <= READS_PER_TURN + 1
    await asyncio.gather(*tasks)


async def test_a_cancelled_caller_gives_up_its_turn() -> None:
    """The callers that wait behind it continue."""
    turns = Turns(READS_PER_TURN)
    await reads(turns, READS_PER_TURN)
    gone = [asyncio.create_task(reads(turns, 1)) for _ in range(3 * READS_PER_TURN)]
    last = asyncio.create_task(reads(turns, 1))
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    async with asyncio.timeout(5):
        await last
