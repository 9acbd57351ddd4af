"""Admission: how many calls and streams may be under way, and what ends one early.

Every call that has a valid key is counted here, for all of its life. A call whose key is revoked
meanwhile ends within 5 s, before it logs in, stores or lends.
"""

import asyncio
from collections import Counter

import structlog

from service.access.api_keys import Access
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

KEY_SECONDS = 2.0
"""Between two looks at a key, and the age of what is known of it: together less than 5 s."""
SMALL_TENANT = 8
"""Calls that a tenant can have under way although others have filled the room."""
SPARE = 4
"""One part in so many is added to a full room, for small tenants alone."""

log = structlog.get_logger()
full = Occasional()


class Room:
    """The calls of one kind: at most *max_calls* in all, and *max_per_tenant* of one tenant.

    Tenants with few calls still find a place once the room is full, in a spare quarter.
    Refusals ask the caller to wait for *retry_seconds*.
    """

    def __init__(self, kind: str, max_calls: int, max_per_tenant: int, retry_seconds: int) -> None:
        self._kind = kind
        self._max_calls = max_calls
        self._max_per_tenant = max_per_tenant
        self._retry_seconds = retry_seconds
        self._by_tenant: Counter[str] = Counter()
        self.under_way: dict[Deadline, str] = {}
        """The key's id of each call."""

    def enter(self, key: ApiKey, deadline: Deadline) -> None:
        """Take a place. Raises RateLimitExceeded."""
        total, of_tenant = len(self.under_way), self._by_tenant[key.tenant_id]
        if of_tenant >= self._max_per_tenant:
            self._refuse("tenant")
        if total >= self._max_calls and (
            of_tenant >= SMALL_TENANT or total >= self._max_calls + self._max_calls // SPARE
        ):
            self._refuse("service")
        self._by_tenant[key.tenant_id] = of_tenant + 1
        self.under_way[deadline] = key.key_id

    def leave(self, key: ApiKey, deadline: Deadline) -> None:
        """Give the place back."""
        del self.under_way[deadline]
        left = self._by_tenant[key.tenant_id] - 1
        if left:
            self._by_tenant[key.tenant_id] = left
        else:
            del self._by_tenant[key.tenant_id]

    def _refuse(self, limit: str) -> None:
        full.warning("calls are refused for want of room", kind=self._kind, limit=limit)
        raise RateLimitExceeded(self._retry_seconds)


class Admission:
    """All calls and streams that have a valid key, in this process."""

    def __init__(
        self,
        access: Access,
        *,
        max_calls: int,
        max_calls_per_tenant: int,
        max_streams: int,
        max_streams_per_tenant: int,
    ) -> None:
        self._access = access
        self.calls = Room("call", max_calls, max_calls_per_tenant, 1)
        self.streams = Room("stream", max_streams, max_streams_per_tenant, 10)
        self._is_closed = False

    def room(self, *, stream: bool) -> Room:
        """The room for a call. Raises ServiceUnavailable for a stream once the server stops."""
        if not stream:
            return self.calls
        if self._is_closed:
            raise _stopping()
        return self.streams

    def close(self) -> None:
        """End all streams and refuse new ones: the server stops."""
        self._is_closed = True
        for deadline in list(self.streams.under_way):
            deadline.end(_stopping())

    async def run(self) -> None:
        """End the calls of revoked keys and deleted tenants within 5 s, until cancelled."""
        while True:
            await asyncio.sleep(KEY_SECONDS)
            for key_id in {*self.calls.under_way.values(), *self.streams.under_way.values()}:
                if refusal := await self._refusal(key_id):
                    self._end(key_id, refusal)

    def _end(self, key_id: str, refusal: ServiceError) -> None:
        for room in (self.calls, self.streams):
            for deadline, other in list(room.under_way.items()):
                if other == key_id:
                    deadline.end(refusal)

    async def _refusal(self, key_id: str) -> ServiceError | None:
        try:
            await self._access.require_valid(key_id, KEY_SECONDS)
        except InvalidApiKey as refusal:
            return refusal
        except ServiceUnavailable:
            return None  # this proves nothing about the key
        except Exception:
            log.exception("the key of a call cannot be checked")
            return InternalError()
        return None


def _stopping() -> ServiceUnavailable:
    return ServiceUnavailable("stopping")
