"""Heads: how far the events of each tenant that is watched go, as of the last commit.

All streams share one look at the store: after each commit of this process, since that may have
been an event, and every second, since other processes write as well.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from service.domain.errors import ServiceUnavailable
from service.domain.store import EventStore

LOOK_SECONDS = 1.0
REST_SECONDS = 0.05
"""Between two looks, however many commits there are."""

log = structlog.get_logger()


class Head:
    """The newest event of a tenant, for those who wait for the next one."""

    def __init__(self) -> None:
        self.number = 0
        self.streams = 0
        self._moved = asyncio.Event()

    async def after(self, number: int, seconds: float) -> int:
        """The newest event's number, once it is over *number*; *number*, where none comes within
        so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.number <= number:
                    await self._moved.wait()
        return max(self.number, number)

    def move(self, number: int) -> None:
        if number > self.number:
            self.number = number
            self._moved.set()
            self._moved = asyncio.Event()


class Heads:
    """The heads of the tenants that are watched."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._heads: dict[str, Head] = {}
        self._committed = asyncio.Event()
        store.on_commit(self._committed.set)

    @contextmanager
    def watched(self, tenant_id: str) -> Iterator[Head]:
        """The tenant's head, which is looked at for as long as the block lasts."""
        head = self._heads.setdefault(tenant_id, Head())
        head.streams += 1
        try:
            yield head
        finally:
            head.streams -= 1
            if not head.streams:
                del self._heads[tenant_id]

    async def run(self) -> None:
        """Move the heads as events come."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._committed.wait()
            self._committed.clear()
            try:
                await self._look()
            except ServiceUnavailable:
                log.debug("cannot look for events just now")
            await asyncio.sleep(REST_SECONDS)

    async def _look(self) -> None:
        for tenant_id, number in (await self._store.newest(list(self._heads))).items():
            if head := self._heads.get(tenant_id):
                head.move(number)
