"""Deadlines: as `asyncio.timeout_at` does it, whatever else happens at that moment."""

import asyncio
from math import inf

import pytest

from service.transport.deadline import Deadline


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.01


async def test_what_takes_too_long_ends() -> None:
    """The block ends with TimeoutError, and the task goes on as if nothing had been."""
    deadline = Deadline(soon())
    with pytest.raises(TimeoutError), deadline:
        await asyncio.Event().wait()
    assert deadline.expired
    await asyncio.sleep(0)


async def test_what_ends_in_time_is_left_alone() -> None:
    """A block's end is its deadline's, whether it had any."""
    for at in (soon(), inf):
        deadline = Deadline(at)
        with deadline:
            pass
        await asyncio.sleep(0.02)
        assert not deadline.expired


async def test_an_error_at_that_moment_is_told() -> None:
    """What the block raises while it is ended comes out, in place of TimeoutError."""

    async def fails_when_ended() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError

    with pytest.raises(LookupError), Deadline(soon()):
        await fails_when_ended()


async def test_a_caller_that_is_gone_goes_first() -> None:
    """A task that somebody else has cancelled meanwhile stays cancelled."""
    deadline = Deadline(soon())

    async def waits() -> None:
        with deadline:
            try:
                await asyncio.Event().wait()
            finally:
                task.cancel()

    task = asyncio.create_task(waits())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert deadline.expired


async def test_the_innermost_is_told_apart() -> None:
    """Of two, one in the other, each ends its own block."""
    outer = Deadline(asyncio.get_running_loop().time() + 60)
    with outer:
        with pytest.raises(TimeoutError), Deadline(soon()):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
    assert not outer.expired
