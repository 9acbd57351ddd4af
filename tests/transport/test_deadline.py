"""Deadline: it behaves like `asyncio.timeout_at`, also when other events coincide."""

import asyncio
from math import inf

import pytest

from service.transport.deadline import Deadline


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.01


async def test_a_block_times_out() -> None:
    """It ends with TimeoutError, and the task continues uncancelled."""
    deadline = Deadline(soon())
    with pytest.raises(TimeoutError), deadline:
        await asyncio.Event().wait()
    assert deadline.expired
    await asyncio.sleep(0)


async def test_a_block_that_ends_in_time_is_not_affected() -> None:
    """The timer ends with the block, with and without a deadline."""
    for at in (soon(), inf):
        deadline = Deadline(at)
        with deadline:
            pass
        await asyncio.sleep(0.02)
        assert not deadline.expired


async def test_an_error_during_the_time_out_is_raised() -> None:
    """An exception that the block raises while it is cancelled replaces TimeoutError."""

    async def fails_when_ended() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError

    with pytest.raises(LookupError), Deadline(soon()):
        await fails_when_ended()


async def test_a_cancelled_task_stays_cancelled() -> None:
    """A cancellation from elsewhere takes precedence over the time-out."""
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


async def test_nested_deadlines_are_independent() -> None:
    """The inner one ends its own block only."""
    outer = Deadline(asyncio.get_running_loop().time() + 60)
    with outer:
        with pytest.raises(TimeoutError), Deadline(soon()):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
    assert not outer.expired
