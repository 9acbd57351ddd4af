"""Work that has to end although whoever asked for it is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

T = TypeVar("T")
MOST = 10_000
LEFT_AT_ONCE = 32
"""What nobody waits for leaves room on the way out for those who do."""
BEGIN_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


class OwnedTasks:
    """Runs work in tasks of its own, and waits for them when the service stops."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turns = asyncio.Semaphore(LEFT_AT_ONCE)

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of *work*, which goes on to its end if the caller is cancelled."""
        return await asyncio.shield(self.start(work))

    def leave(self, work: Coroutine[Any, Any, object]) -> None:
        """Do *work* some time soon, with few others; its failure is logged, and nobody else's."""
        if len(self._tasks) >= MOST:
            work.close()
            log.warning("work left undone: too much is under way")
            return
        self.start(self._in_turn(work))

    async def _in_turn(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            async with self._turns:
                await work
        finally:
            work.close()  # or Python would say that it was never awaited

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """*work* in a task of its own, for several to wait for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # asking for the exception marks it as seen: asyncio would print its text otherwise
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("owned task failed", exception=type(error).__name__)

    async def drain(self, seconds: float) -> int:
        """Wait for all work under way, *seconds* at most; returns how much had to be cancelled."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # again and again: what ends may have left a session to be ended
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        await asyncio.sleep(0)  # what has not begun could not tidy up after itself
        late = set(self._tasks)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)
        return len(late)


@asynccontextmanager
async def run_in_background(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """*work* goes on in the background until the end of the block, begun anew where it fails."""
    task = asyncio.create_task(_again_and_again(work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _again_and_again(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:
            # a fault that nobody thought of: told, and not the end of all checks and events
            log.critical("work in the background has failed", exc_info=error)
        await asyncio.sleep(BEGIN_AGAIN_SECONDS)
