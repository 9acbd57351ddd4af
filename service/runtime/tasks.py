"""Background tasks: work that outlives the call that started it, and loops that restart."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

T = TypeVar("T")
MAX_TASKS = 10_000
"""`spawn` drops new work while this many tasks are unfinished. `start` has no limit."""
MAX_SPAWNED_AT_ONCE = 32
"""Spawned tasks that run at the same time. They share outbound connections with the calls."""
RESTART_SECONDS = 1.0
CANCEL_SECONDS = 1.0

log = structlog.get_logger()


class OwnedTasks:
    """Runs work in tasks that belong to the service, which drains them when it stops."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._spawned = asyncio.Semaphore(MAX_SPAWNED_AT_ONCE)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* in a task, which several callers may await."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def shield(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of *work*, which runs to its end even if the caller is cancelled."""
        return await asyncio.shield(self.start(work))

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run *work* in the background, at most MAX_SPAWNED_AT_ONCE at a time. Never raises.

        Logs the type of an error at level debug. If MAX_TASKS are unfinished, drops *work* and
        logs a warning.
        """
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            log.warning("background work dropped: too many tasks")
            return
        self.start(self._bounded(work))

    async def drain(self, seconds: float) -> int:
        """Wait up to *seconds* for all tasks, cancel the rest, and return how many it cancelled."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # in a loop: a task that ends may have started another, such as a logout
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        # let new tasks take their first step: a task cancelled before it cannot clean up
        await asyncio.sleep(0)
        late = set(self._tasks)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=CANCEL_SECONDS)
        return len(late)

    async def _bounded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            async with self._spawned:
                await work
        finally:
            work.close()  # else Python warns of a coroutine that was never awaited

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # reading the exception marks it as retrieved: otherwise asyncio logs its text
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("owned task failed", exception=type(error).__name__)


@asynccontextmanager
async def run_in_background(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run *work* until the end of the block. When it ends, restart it after RESTART_SECONDS."""
    task = asyncio.create_task(_restarting(work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _restarting(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:
            # an unforeseen error must not stop the loop, on which checks and events depend
            log.critical("work in the background has failed", exc_info=error)
        await asyncio.sleep(RESTART_SECONDS)
