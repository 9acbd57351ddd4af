"""Deadline: `asyncio.timeout_at` without its awaits, since every call pays for it."""

import asyncio
from math import inf
from types import TracebackType


class Deadline:
    """Ends the block with TimeoutError at *at*, by the loop's clock; infinite: never."""

    def __init__(self, at: float) -> None:
        self._at = at
        self.expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        loop = asyncio.get_running_loop()
        self._timer = None if self._at == inf else loop.call_at(self._at, self._expire)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.expired:
            return
        # as asyncio does it: whoever else has cancelled the task meanwhile, it stays cancelled
        still = self._task.uncancel() > self._cancelling
        if not still and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()
