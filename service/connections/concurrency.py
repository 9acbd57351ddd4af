"""Concurrency: how much of a tenant's may be in progress at platforms at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from service.domain.errors import RateLimitExceeded

TRY_AGAIN_SECONDS = 1.0
SERVERS = 3
"""A tenant's share at platforms is that of so many servers: at one it has no more than its part."""


class ConcurrencyLimit:
    """So much of each tenant's at once, in this process: a tenant whose accounts lead to servers
    that hang takes its own share of the way out, and none of the others'. At one server it has a
    third of its share, so that a few such tenants leave room there.

    What is beyond it is refused at once. Were it to wait, the calls that wait would take the room
    that all tenants' calls have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_at_one = max(1, most // SERVERS)
        self._taken: Counter[tuple[str, str]] = Counter()

    def taken(self, tenant_id: str) -> AbstractContextManager[None]:
        """One more, for as long as the block lasts; raises RateLimitExceeded before it begins."""
        return self._place((tenant_id, ""), self._most)

    def taken_at(self, tenant_id: str, origin: str) -> AbstractContextManager[None]:
        """The same of what the tenant may have at the server *origin*."""
        return self._place((tenant_id, origin), self._most_at_one)

    @contextmanager
    def _place(self, key: tuple[str, str], most: int) -> Iterator[None]:
        if self._taken[key] >= most:
            raise RateLimitExceeded(TRY_AGAIN_SECONDS)
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
