"""Retention: how long events are kept.

The events of a deleted profile do not tell when they happened, so their age is not read off them.
Every hour it is noted how far each tenant's events go; what a note that is old enough covers is
removed. So events are kept for the time set, and an hour longer at most.
"""

import asyncio

import structlog

from service.domain.clock import Clock
from service.domain.errors import ServiceUnavailable
from service.domain.model import DAY
from service.domain.store import EventStore

EVERY_SECONDS = 3600.0
REST_SECONDS = 0.05
"""Between two batches, so that callers' writes come in between."""

log = structlog.get_logger()


class Retention:
    """Removes the events that were written more than so many days ago."""

    def __init__(self, store: EventStore, clock: Clock, days: int) -> None:
        self._store = store
        self._clock = clock
        self._days = days

    async def run(self) -> None:
        while True:
            try:
                await self.prune()
            except ServiceUnavailable:
                log.warning("events could not be pruned; there is another round")
            await asyncio.sleep(EVERY_SECONDS)

    async def prune(self) -> None:
        """One round: note how far the events go, and remove what is old enough."""
        now = self._clock.now()
        await self._store.mark(now)
        more = True
        while more:
            more = await self._store.prune(now - self._days * DAY)
            await asyncio.sleep(REST_SECONDS)
