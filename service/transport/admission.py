"""Admission: limits concurrent calls and streams, and ends calls whose key is revoked.

Every call with a valid key holds a slot here until it ends. A call whose key is revoked ends
within 5 s, before it logs in, stores or leases anything.
"""

import asyncio
from collections import Counter

import structlog

from service.access.api_keys import ApiKeys
from service.domain.errors import (
    InternalError,
    InvalidApiKey,
    RateLimitExceeded,
    ServiceError,
    ServiceUnavailable,
)
from service.domain.model import ApiKey
from service.runtime.log import Occasional
from service.transport.deadline import Deadline

KEY_CHECK_SECONDS = 2.0
"""Interval between checks of a key, and the maximum age of a cached result: together below 5 s."""
MAX_TENANT_CALLS_WITH_RESERVE = 8
"""When no regular slot is free, a tenant with fewer concurrent calls may take a reserve slot."""
RESERVE_FRACTION = 1 / 4
"""Number of reserve slots, as a fraction of *max_calls*. They are added to *max_calls*."""

log = structlog.get_logger()
rejection_log = Occasional()


class CallSlots:
    """Slots for one kind of call: at most *max_calls*, and *max_per_tenant* for one tenant.

    When all slots are taken, tenants with few calls still get one from a reserve. Rejected callers
    are asked to wait for *retry_seconds*.
    """

    def __init__(self, kind: str, max_calls: int, max_per_tenant: int, retry_seconds: int) -> None:
        self._kind = kind
        self.max_calls = max_calls
        self._max_with_reserve = max_calls + int(max_calls * RESERVE_FRACTION)
        self._max_per_tenant = max_per_tenant
        self._retry_seconds = retry_seconds
        self._by_tenant: Counter[str] = Counter()
        self.key_ids: dict[Deadline, str] = {}
        """The key of each call in progress."""

    def acquire(self, key: ApiKey, deadline: Deadline) -> None:
        """Take a slot. Raise RateLimitExceeded at the limit."""
        total, of_tenant = len(self.key_ids), self._by_tenant[key.tenant_id]
        if of_tenant >= self._max_per_tenant:
            self._reject("tenant")
        if total >= self.max_calls and (
            of_tenant >= MAX_TENANT_CALLS_WITH_RESERVE or total >= self._max_with_reserve
        ):
            self._reject("service")
        self._by_tenant[key.tenant_id] = of_tenant + 1
        self.key_ids[deadline] = key.key_id

    def release(self, key: ApiKey, deadline: Deadline) -> None:
        """Release the slot of the call that *deadline* belongs to."""
        del self.key_ids[deadline]
        remaining = self._by_tenant[key.tenant_id] - 1
        if remaining:
            self._by_tenant[key.tenant_id] = remaining
        else:
            del self._by_tenant[key.tenant_id]

    def _reject(self, limit: str) -> None:
        rejection_log.warning("calls rejected at a limit", kind=self._kind, limit=limit)
        raise RateLimitExceeded(self._retry_seconds)


class Admission:
    """All calls and streams of this process that have a valid key."""

    def __init__(
        self,
        api_keys: ApiKeys,
        *,
        max_calls: int,
        max_calls_per_tenant: int,
        max_streams: int,
        max_streams_per_tenant: int,
    ) -> None:
        self._api_keys = api_keys
        self._calls = CallSlots("call", max_calls, max_calls_per_tenant, 1)
        self._streams = CallSlots("stream", max_streams, max_streams_per_tenant, 10)
        self.kinds = {"call": self._calls, "stream": self._streams}
        """The slots, by kind of call."""
        self._is_closed = False

    def slots(self, *, stream: bool) -> CallSlots:
        """Return the slots for a call. Raise ServiceUnavailable for a stream after `close`."""
        if not stream:
            return self._calls
        if self._is_closed:
            raise _stopping()
        return self._streams

    def close(self) -> None:
        """End all streams and reject new ones, because the server stops."""
        self._is_closed = True
        for deadline in list(self._streams.key_ids):
            deadline.end(_stopping())

    async def run(self) -> None:
        """End the calls of revoked keys and deleted tenants within 5 s, until cancelled."""
        while True:
            await asyncio.sleep(KEY_CHECK_SECONDS)
            for key_id in {*self._calls.key_ids.values(), *self._streams.key_ids.values()}:
                if refusal := await self._check(key_id):
                    self._end(key_id, refusal)

    def _end(self, key_id: str, refusal: ServiceError) -> None:
        for slots in (self._calls, self._streams):
            for deadline, other in list(slots.key_ids.items()):
                if other == key_id:
                    deadline.end(refusal)

    async def _check(self, key_id: str) -> ServiceError | None:
        """Return the error that ends the calls of *key_id*; None while the key may be valid."""
        try:
            await self._api_keys.require_valid(key_id, KEY_CHECK_SECONDS)
        except InvalidApiKey as refusal:
            return refusal
        except ServiceUnavailable:
            return None  # the store is unavailable: the key may still be valid
        except Exception:
            log.exception("the key of a call cannot be checked")
            return InternalError()
        return None


def _stopping() -> ServiceUnavailable:
    return ServiceUnavailable("stopping")
