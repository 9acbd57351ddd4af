"""Concurrency: how many operations a tenant may have in progress at platforms."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from service.domain.errors import RateLimitExceeded

RETRY_AFTER_SECONDS = 1.0
MIN_SERVERS = 3
"""A tenant's whole limit is reached at this many servers: each one gets an equal part of it."""


class ConcurrencyLimit:
    """Caps the operations of each tenant, in this process, in all and at each server.

    A tenant whose accounts lead to servers that hang uses up its own limit, not other tenants'. At
    one server it may use a third of it, so that a few such tenants leave room there.

    Operations over the limit are rejected, not queued: queued calls would hold slots that all
    tenants share.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._limit_at_server = max(1, limit // MIN_SERVERS)
        self._in_use: Counter[tuple[str, str]] = Counter()

    def slot(self, tenant_id: str) -> AbstractContextManager[None]:
        """Hold one of the tenant's slots for the block. Raises RateLimitExceeded."""
        return self._hold((tenant_id, ""), self._limit)

    def slot_at(self, tenant_id: str, origin: str) -> AbstractContextManager[None]:
        """Hold one of the tenant's slots at the server *origin*. Raises RateLimitExceeded."""
        return self._hold((tenant_id, origin), self._limit_at_server)

    @contextmanager
    def _hold(self, key: tuple[str, str], limit: int) -> Iterator[None]:
        if self._in_use[key] >= limit:
            raise RateLimitExceeded(RETRY_AFTER_SECONDS)
        self._in_use[key] += 1
        try:
            yield
        finally:
            self._in_use[key] -= 1
            if not self._in_use[key]:
                del self._in_use[key]
