"""Steps: which of a platform's servers is asked, and how long all of them may take."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from service.domain.errors import DeadlineExceeded, PlatformUnavailable
from service.domain.model import Caller, PlatformUnavailableCause, PlatformUnavailableStep

REPLY_SECONDS = 0.2
"""What is kept of a caller's time to tell them that the platform took the rest."""

_step: ContextVar[PlatformUnavailableStep | None] = ContextVar("step", default=None)


@contextmanager
def at_step(step: PlatformUnavailableStep) -> Iterator[None]:
    """Name *step* in every PlatformUnavailable of the block, and in one for want of time."""
    before = _step.get()
    _step.set(step)
    try:
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
    # a block that is cancelled leaves its step: it is what the time was spent on


@dataclass(frozen=True, slots=True)
class PlatformTime:
    """Until when (event-loop time) a platform may take for its answers."""

    until: float
    is_callers: bool = False
    """Whether the caller's own deadline ends it, rather than a limit of ours."""

    @classmethod
    def of(cls, caller: Caller, seconds: float) -> Self:
        """At most *seconds* from now, and less where *caller* needs the reply sooner."""
        ours = asyncio.get_running_loop().time() + seconds
        theirs = caller.deadline - REPLY_SECONDS
        return cls(ours) if ours <= theirs else cls(theirs, caller.own_deadline)


@asynccontextmanager
async def platform_time(limit: PlatformTime) -> AsyncIterator[None]:
    """A limit for the block. To exceed it proves nothing about credentials.

    Raises PlatformUnavailable, or DeadlineExceeded where the limit is the caller's own.
    """
    before = _step.get()
    try:
        async with asyncio.timeout_at(limit.until):
            yield
    except TimeoutError:
        if limit.is_callers:
            raise DeadlineExceeded from None
        error = PlatformUnavailable(PlatformUnavailableCause.TIMEOUT, "timeout")
        step = _step.get()
        raise (error if step is None else error.at(step)) from None
    finally:
        _step.set(before)
