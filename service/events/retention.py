"""Retention: delete old events, messages given up, spent logins, and expired links and replies.

The events of a deleted profile carry no time, so an event's age is not read off it. Every hour a
mark records the number of each tenant's latest event; once a mark is old enough, the events up to
it are deleted. So an event is kept for the retention time, and at most an hour longer.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from service.domain.clock import Clock
from service.domain.errors import ServiceUnavailable
from service.domain.links import LINKS_KEPT
from service.domain.model import DAY
from service.domain.store import ConnectLinkStore, EventStore, IdempotencyStore, LoginBudgetStore
from service.domain.webhooks import DeliveryQueue

EVERY_SECONDS = 3600.0
REST_SECONDS = 0.05
"""Between two batches, so that callers' writes come in between."""

log = structlog.get_logger()


class Retention:
    """Delete what is past its time, every hour. *days*: how long events are kept."""

    def __init__(
        self,
        events: EventStore,
        deliveries: DeliveryQueue,
        login_budget: LoginBudgetStore,
        links: ConnectLinkStore,
        idempotency: IdempotencyStore,
        clock: Clock,
        days: int,
    ) -> None:
        self._events = events
        self._deliveries = deliveries
        self._login_budget = login_budget
        self._links = links
        self._idempotency = idempotency
        self._clock = clock
        self._days = days

    async def run(self) -> None:
        while True:
            try:
                await self.prune()
            except ServiceUnavailable:
                log.warning("what is past its time could not be deleted; retried in an hour")
            await asyncio.sleep(EVERY_SECONDS)

    async def prune(self) -> None:
        """Mark the latest events, and delete what is old enough."""
        now = self._clock.now()
        old = now - self._days * DAY
        await self._events.mark(now)
        await _in_batches(lambda: self._events.prune(old))
        # of no more use: what can be sent again is read from the events
        await _in_batches(lambda: self._deliveries.prune(old))
        # the time of each batch: a debit later than that would be redated
        await _in_batches(lambda: self._login_budget.delete_expired(self._clock.now()))
        await _in_batches(lambda: self._links.delete_expired(now - LINKS_KEPT))
        await _in_batches(lambda: self._idempotency.delete_expired(now))


async def _in_batches(delete: Callable[[], Awaitable[bool]]) -> None:
    """Repeat *delete* until it returns that no more is left, with a rest after each batch."""
    more = True
    while more:
        more = await delete()
        await asyncio.sleep(REST_SECONDS)
