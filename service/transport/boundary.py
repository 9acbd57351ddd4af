"""Boundary: the pipeline around every call, for gRPC and HTTP alike.

It resolves the API key to tenant and scopes, applies limits and the deadline, turns every
exception into a ServiceError, and logs one line per call.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf
from random import getrandbits
from time import perf_counter
from typing import TypeVar

import structlog
from opentelemetry.trace import Tracer

from service.access.api_keys import CACHE_SECONDS, ApiKeys, require
from service.access.audit import AuditTrail
from service.access.rate_limits import Allowance, CallLimits
from service.domain.audit import AuditedCall, audited
from service.domain.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidApiKey,
    MissingApiKey,
    ServiceError,
)
from service.domain.model import ApiKey, Caller, Scope
from service.domain.steps import reply_seconds
from service.runtime import tracing
from service.runtime.log import Frequent
from service.transport.admission import Admission
from service.transport.call_metrics import CallMetrics
from service.transport.deadline import Deadline
from service.transport.status import STATUS

T = TypeVar("T")
DEFAULT_SECONDS = 10.0
AUDITED_SCOPES = frozenset(
    {Scope.PROFILES_WRITE, Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE, Scope.WEBHOOKS_WRITE}
)
"""Calls that need one of these leave a row in the audit trail, however they end: all but reads."""
READS = ("Get", "List")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)

log = structlog.get_logger()
call_log = Frequent()


@dataclass(slots=True)  # not frozen: to create a frozen instance takes four times as long
class Call:
    """A received call.

    *scope* is what the API key must allow; None accepts any key. *seconds* is the time until the
    deadline; None means no deadline.
    """

    method: str
    transport: str
    api_key: str | None = field(repr=False)
    request_id: str
    scope: Scope | None
    seconds: float | None = DEFAULT_SECONDS
    has_own_deadline: bool = False
    """Whether the caller set a deadline. *seconds* may differ from it."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the caller sent, with the context of its trace, if any."""
    route: str = ""
    """VERB PATH, over HTTP."""
    peer: str = ""
    """The caller's address or certificate name, where the call is audited."""
    link_key_id: str = ""
    """The id of the API key that made the connect link of the call, which stands for the key. The
    link has its own limit of calls."""


def request_id(given: str | None) -> str:
    """Return the caller's id if it is safe to log, else a new one."""
    if given and REQUEST_ID.fullmatch(given):
        return given
    # unique, but not a secret: a cryptographic generator would cost more on every call
    return f"req_{getrandbits(80):020x}"


class Boundary:
    """Runs calls. It returns a result, or raises ServiceError or CancelledError, nothing else."""

    def __init__(
        self,
        api_keys: ApiKeys,
        limits: CallLimits,
        admission: Admission,
        audit: AuditTrail,
        metrics: CallMetrics,
        tracer: Tracer | None = None,
    ) -> None:
        self._api_keys = api_keys
        self._limits = limits
        self._admission = admission
        self._audit = audit
        self.metrics = metrics
        self._tracer = tracer

    def _record(
        self, call: Call, entry: AuditedCall | None, outcome: str, caller: Caller | None
    ) -> None:
        """Record a call that no transaction has recorded, such as a refused one.

        *entry* is None for a read, which is recorded if its caller is unknown.
        """
        if entry is None and caller is None:
            entry = _entry(call)
        if entry is None or entry.is_recorded:
            return
        if caller is not None:  # it may have been refused before its work began
            entry.tenant_id, entry.key_id = caller.tenant_id, caller.key_id
        self._audit.note_call(entry, outcome.upper())

    async def may_have_valid_key(self, call: Call) -> bool:
        """Return False only if `run` would certainly reject the key of *call*."""
        try:
            await self._api_keys.check(call.api_key)
        except (MissingApiKey, InvalidApiKey):
            return False
        except ServiceError:
            return True  # the store is unavailable: the key may still be valid
        return True

    async def stream(
        self,
        call: Call,
        work: Callable[[Caller], AsyncGenerator[T, None]],
        send: Callable[[T], Awaitable[None]],
    ) -> None:
        """Pass each message that *work* yields to *send*, one at a time. Raise as `run` does.

        *work* and *send* run in the task of the call, so that its cancellation ends both.
        """

        async def send_all(caller: Caller) -> None:
            async with aclosing(work(caller)) as messages:
                async for message in messages:
                    await send(message)

        await self.run(call, send_all, stream=True)

    async def run(
        self,
        call: Call,
        work: Callable[[Caller], Awaitable[T]],
        on_allowance: Callable[[Allowance], None] | None = None,
        *,
        stream: bool = False,
    ) -> T:
        """Authenticate *call* and return the result of *work*. Raises ServiceError.

        *work* also decodes the request, so that a decoding error is handled like any other.
        *on_allowance* receives the key's remaining rate limit, also if the limit refuses the call.
        """
        started = perf_counter()
        caller: Caller | None = None
        entry = _entry(call) if is_audited(call) else None
        outcome, why, step = "ok", "", None
        refusal: ServiceError | None = None
        self.metrics.begin(call.transport, call.method)
        span = None if self._tracer is None else self._span(self._tracer, call)
        platform_deadline, ends_at = _ends(call.seconds)
        deadline = Deadline(ends_at)
        try:
            with deadline:
                key = await self._key(call)
                caller = Caller(
                    key.tenant_id,
                    key.key_id,
                    key.scopes,
                    platform_deadline,
                    call.has_own_deadline,
                )
                if not call.link_key_id:
                    self._take(key.key_id, on_allowance)
                require(key, call.scope)
                slots = self._admission.slots(stream=stream)
                slots.acquire(key, deadline)
                try:
                    if entry is None:
                        return await work(caller)
                    entry.tenant_id, entry.key_id = caller.tenant_id, caller.key_id
                    with audited(entry):
                        return await work(caller)
                finally:
                    slots.release(key, deadline)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:
            refusal = _refusal(error, deadline, call)
            outcome, why = STATUS[type(refusal)].name, refusal.why
            step = refusal.metadata.get("step")
            # from None: a cause may contain credentials
            raise refusal from None
        finally:
            seconds = perf_counter() - started
            is_ok = outcome == "ok"
            self.metrics.end(call.transport, call.method, refusal, seconds, ok=is_ok)
            ids: dict[str, str] = {}
            if span is not None:
                ids = tracing.ids()
                span.end(_status(call, refusal), "" if is_ok else outcome)
            self._record(call, entry, outcome, caller)
            call_log.info(
                "call",
                method=call.method,
                transport=call.transport,
                request_id=call.request_id,
                tenant=caller.tenant_id if caller else None,
                key=caller.key_id if caller else None,
                outcome=outcome,
                why=why or None,
                step=step,
                ms=round(seconds * 1000, 2),
                **ids,
            )

    async def _key(self, call: Call) -> ApiKey:
        if call.link_key_id:
            return await self._api_keys.require_valid(call.link_key_id, CACHE_SECONDS)
        return await self._api_keys.check(call.api_key)

    def _take(self, key_id: str, on_allowance: Callable[[Allowance], None] | None) -> None:
        try:
            self._limits.take(key_id)
        finally:
            if on_allowance:
                on_allowance(self._limits.allowance(key_id))

    def _span(self, tracer: Tracer, call: Call) -> tracing.CallSpan:
        """Begin the span of *call*, with attributes named by OpenTelemetry's conventions."""
        attributes = {"postcore.request_id": call.request_id, "rpc.method": call.method}
        verb, _, path = call.route.partition(" ")
        if call.route:
            attributes |= {"http.request.method": verb, "http.route": path}
        else:
            attributes["rpc.system"] = "grpc"
        name = call.route or "/".join(self.metrics.labels[call.method][1:])
        return tracing.CallSpan(tracer, name, call.headers, attributes)


def _status(call: Call, refusal: ServiceError | None) -> dict[str, str | int]:
    """Return the attributes of the span of *call* that say how it ended."""
    if refusal is None:
        return {}
    if call.route:
        return {"http.response.status_code": STATUS[type(refusal)].http}
    return {"rpc.grpc.status_code": STATUS[type(refusal)].code.value[0]}


def is_audited(call: Call) -> bool:
    """Return whether *call* leaves a row in the audit trail, however it ends."""
    return call.scope in AUDITED_SCOPES and not call.method.startswith(READS)


def _entry(call: Call) -> AuditedCall:
    return AuditedCall(call.method, call.request_id, peer=call.peer)


def _ends(seconds: float | None) -> tuple[float, float]:
    """Return when the platforms of a call time out, and when it ends, both in event-loop time.

    It ends before its caller's deadline: a client that times out by itself gets no reason.
    """
    if seconds is None:
        return inf, inf
    deadline, reply = asyncio.get_running_loop().time() + seconds, reply_seconds(seconds)
    return deadline - reply, deadline - reply / 2


def _refusal(error: Exception, deadline: Deadline, call: Call) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, TimeoutError) and deadline.expired:
        return deadline.refusal or DeadlineExceeded()
    # the log writes the type and the places of an exception, never its text
    log.error("call failed", request_id=call.request_id, method=call.method, exc_info=error)
    return InternalError()
