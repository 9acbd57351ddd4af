"""Deadline: `asyncio.timeout_at` without coroutines, which would cost 3 % of each call."""

import asyncio
from math import inf
from types import TracebackType

from service.domain.errors import ServiceError


class Deadline:
    """A `with` block that raises TimeoutError at *at*, by the loop's clock; infinite: never.

    `end` ends the block early and sets `refusal`.
    """

    def __init__(self, at: float = inf) -> None:
        self._at = at
        self._task: asyncio.Task[object] | None = None
        self.expired = False
        self.refusal: ServiceError | None = None

    def __enter__(self) -> "Deadline":
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        loop = asyncio.get_running_loop()
        self._timer = None if self._at == inf else loop.call_at(self._at, self._expire)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        if not self.expired:
            return
        assert task is not None
        # as in asyncio: a task that was also cancelled from elsewhere stays cancelled
        is_cancelled = task.uncancel() > self._cancelling
        if not is_cancelled and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def end(self, refusal: ServiceError) -> None:
        """End the block now, because of *refusal*. No-op outside the block."""
        if not self.expired and self._task is not None:
            self.refusal = refusal
            self._expire()

    def _expire(self) -> None:
        if self._task is not None and not self.expired:
            self.expired = True
            self._task.cancel()
