"""The boundary: what happens around every call, whatever transport it came by.

API key → tenant and scopes, deadline, one log line, every exception to a ServiceError. The gRPC
server and, beside it, the HTTP edge are thin skins over this one pipeline.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf
from random import getrandbits
from time import perf_counter
from typing import TypeVar

import structlog

from service.access.api_keys import Access, require
from service.access.rate_limits import Allowance, CallLimits
from service.domain.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidApiKey,
    MissingApiKey,
    ServiceError,
)
from service.domain.model import Caller, Scope
from service.runtime.log import Frequent
from service.transport.admission import Admission
from service.transport.deadline import Deadline
from service.transport.status import STATUS

T = TypeVar("T")
DEFAULT_SECONDS = 10.0
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)

log = structlog.get_logger()
calls = Frequent()


@dataclass(slots=True)  # and not frozen, which would take four times as long for every call
class Call:
    """One call as it arrived. *scope* None: any key will do. *seconds*: until its deadline, None
    where it has none."""

    method: str
    transport: str
    api_key: str | None = field(repr=False)
    request_id: str
    scope: Scope | None
    seconds: float | None = DEFAULT_SECONDS
    own_deadline: bool = False
    """Whether the caller has set *seconds*."""


def request_id(given: str | None) -> str:
    """The id that the caller gave, where it is fit to be logged, or else a new one."""
    if given and REQUEST_ID.fullmatch(given):
        return given
    # told apart from all others, and no secret
    return f"req_{getrandbits(80):020x}"


class Boundary:
    """Lets calls in, and nothing out but replies, ServiceError and cancellation."""

    def __init__(self, access: Access, limits: CallLimits, admission: Admission) -> None:
        self._access = access
        self._limits = limits
        self._admission = admission

    async def may_know(self, call: Call) -> bool:
        """Whether the key of *call* may be valid; False if `run` is certain to refuse it."""
        try:
            await self._access.check(call.api_key)
        except (MissingApiKey, InvalidApiKey):
            return False
        except ServiceError:
            return True  # the store is away: this proves nothing about the key
        return True

    async def stream(
        self,
        call: Call,
        work: Callable[[Caller], AsyncGenerator[T, None]],
        send: Callable[[T], Awaitable[None]],
    ) -> None:
        """Let *send* have one after the other what *work* yields for the caller behind *call*.

        All of it runs in the caller's own task, which ends with the call, however that ends.
        """

        async def all_of_it(caller: Caller) -> None:
            async with aclosing(work(caller)) as messages:
                async for message in messages:
                    await send(message)

        await self.run(call, all_of_it, stream=True)

    async def run(
        self,
        call: Call,
        work: Callable[[Caller], Awaitable[T]],
        tell: Callable[[Allowance], None] | None = None,
        *,
        stream: bool = False,
    ) -> T:
        """What *work* returns for the caller behind *call*; decoding belongs into *work*.

        *tell* is told what the key may still call, once it is known whose it is.
        """
        started = perf_counter()
        caller: Caller | None = None
        outcome, why, step = "ok", "", None
        deadline = inf if call.seconds is None else asyncio.get_running_loop().time() + call.seconds
        timeout = Deadline(deadline)
        try:
            with timeout:
                key = await self._access.check(call.api_key)
                caller = Caller(key.tenant_id, key.key_id, key.scopes, deadline, call.own_deadline)
                try:
                    self._limits.take(key.key_id)
                finally:
                    if tell:
                        tell(self._limits.allowance(key.key_id))
                require(key, call.scope)
                room = self._admission.room(stream=stream)
                room.enter(key, timeout)
                try:
                    return await work(caller)
                finally:
                    room.leave(key, timeout)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:
            refusal = _refusal(error, timeout, call)
            outcome, why = STATUS[type(refusal)].name, refusal.why
            step = refusal.metadata.get("step")
            # from None: a cause may hold what must not travel
            raise refusal from None
        finally:
            calls.info(
                "call",
                method=call.method,
                transport=call.transport,
                request_id=call.request_id,
                tenant=caller.tenant_id if caller else None,
                key=caller.key_id if caller else None,
                outcome=outcome,
                why=why or None,
                step=step,
                ms=round((perf_counter() - started) * 1000, 2),
            )


def _refusal(error: Exception, timeout: Deadline, call: Call) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, TimeoutError) and timeout.expired:
        return timeout.refusal or DeadlineExceeded()
    log.error("call failed", request_id=call.request_id, method=call.method, exc_info=error)
    return InternalError()
