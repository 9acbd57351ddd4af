"""The number of the latest event of each watched tenant, as of the last commit.

All streams share one query: after each commit of this process, which may have written an event, and
every second, since other processes write as well.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from service.domain.errors import ServiceUnavailable
from service.domain.store import EventStore

POLL_SECONDS = 1.0
REST_SECONDS = 0.05
"""Between two queries, however many commits there are."""

log = structlog.get_logger()


class LatestEvent:
    """The number of a tenant's latest event, for streams that wait for the next one."""

    def __init__(self) -> None:
        self.number = 0
        self.streams = 0
        self._advanced = asyncio.Event()

    async def after(self, number: int, seconds: float) -> int:
        """Wait until the latest number is over *number*, and return it.

        Returns *number* if no event comes within *seconds*.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.number <= number:
                    await self._advanced.wait()
        return max(self.number, number)

    def advance(self, number: int) -> None:
        if number > self.number:
            self.number = number
            self._advanced.set()
            self._advanced = asyncio.Event()


class LatestEvents:
    """The latest events of the tenants that are watched."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._by_tenant: dict[str, LatestEvent] = {}
        self._committed = asyncio.Event()
        store.on_commit(self._committed.set)

    @contextmanager
    def watched(self, tenant_id: str) -> Iterator[LatestEvent]:
        """Follow the tenant's latest event for the duration of the block."""
        latest = self._by_tenant.setdefault(tenant_id, LatestEvent())
        latest.streams += 1
        try:
            yield latest
        finally:
            latest.streams -= 1
            if not latest.streams:
                del self._by_tenant[tenant_id]

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._committed.wait()
            self._committed.clear()
            try:
                await self._poll()
            except ServiceUnavailable:
                log.debug("the newest events could not be read; retried in a second")
            await asyncio.sleep(REST_SECONDS)

    async def _poll(self) -> None:
        latest_numbers = await self._store.latest(list(self._by_tenant))
        for tenant_id, number in latest_numbers.items():
            if latest := self._by_tenant.get(tenant_id):
                latest.advance(number)
