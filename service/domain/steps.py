"""Steps: which of a platform's servers is asked, and the time limit of all of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from service.domain.errors import DeadlineExceeded, PlatformUnavailable
from service.domain.model import Caller, PlatformUnavailableCause, PlatformUnavailableStep

MAX_REPLY_SECONDS = 1.0
"""Maximum part of a call's time that its platforms leave to the rest of the call and its reply."""

Observer = Callable[[PlatformUnavailableStep], AbstractContextManager[None]]
"""Wraps each step of the block that it is set for, to measure it."""

_step: ContextVar[PlatformUnavailableStep | None] = ContextVar("step", default=None)
step_observer: ContextVar[Observer | None] = ContextVar("step_observer", default=None)


@contextmanager
def at_step(step: PlatformUnavailableStep) -> Iterator[None]:
    """Name *step* in every PlatformUnavailable of the block, and in its time-out."""
    before = _step.get()
    _step.set(step)
    observe = step_observer.get()
    try:
        with nullcontext() if observe is None else observe(step):
            yield
    except PlatformUnavailable as error:
        _step.set(before)
        error.at(step)
        raise
    except Exception:
        _step.set(before)
        raise
    else:
        _step.set(before)
    # a cancelled block leaves its step set: the time was spent on it


def reply_seconds(seconds: float) -> float:
    """Return how long before the end of a call of *seconds* its platforms time out."""
    return min(MAX_REPLY_SECONDS, seconds / 5)


@dataclass(frozen=True, slots=True)
class PlatformDeadline:
    """Until when (event-loop time) a platform may answer."""

    until: float
    is_callers: bool = False
    """Whether it is the caller's own deadline, rather than a limit of ours."""

    @classmethod
    def of(cls, caller: Caller, seconds: float) -> Self:
        """Return the deadline *seconds* from now, or earlier if *caller* has less time."""
        ours, callers = asyncio.get_running_loop().time() + seconds, caller.platform_deadline
        return cls(ours) if ours <= callers else cls(callers, caller.has_own_deadline)


@asynccontextmanager
async def platform_timeout(deadline: PlatformDeadline) -> AsyncIterator[None]:
    """Limit the time of the block. A time-out proves nothing about credentials.

    Raises PlatformUnavailable, or DeadlineExceeded if the deadline is the caller's own.
    """
    before = _step.get()
    try:
        async with asyncio.timeout_at(deadline.until):
            yield
    except TimeoutError:
        if deadline.is_callers:
            raise DeadlineExceeded from None
        error = PlatformUnavailable(PlatformUnavailableCause.TIMEOUT, "timeout")
        step = _step.get()
        raise (error if step is None else error.at(step)) from None
    finally:
        _step.set(before)
