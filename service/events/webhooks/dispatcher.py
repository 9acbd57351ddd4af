"""Dispatcher: finds webhooks with something to send, and runs a lane for each.

All nodes look; the claim decides which of them sends. A look follows each commit of this process,
which may have written an event, and each second, since other processes write as well.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from time import perf_counter
from typing import Any

import structlog

from service.domain.clock import Clock
from service.domain.errors import ServiceUnavailable
from service.domain.store import EventStore
from service.domain.webhooks import DeliveryQueue
from service.events.webhooks.lane import Lane, Parts
from service.events.webhooks.messages import Payload
from service.events.webhooks.sender import Sender
from service.runtime.metrics import Metrics
from service.runtime.tasks import OwnedTasks

MAX_LANES = 128
MAX_SENDS = 160
"""Requests under way, of all lanes. The egress has 200 connections."""
POLL_SECONDS = 1.0
MIN_REST_SECONDS = 0.05
"""Between two looks, however many commits there are."""
REST = 10
"""The rest after a look, as a multiple of its time: it reads a row of every webhook."""

log = structlog.get_logger()


class Dispatcher:
    """Sends the events of all tenants to their webhooks."""

    def __init__(
        self,
        queue: DeliveryQueue,
        events: EventStore,
        sender: Sender,
        payload: Payload,
        clock: Clock,
        metrics: Metrics,
        tasks: OwnedTasks,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._tasks = tasks
        self._wake = asyncio.Event()
        self._lanes: set[str] = set()
        self._is_stopping = False
        sends = asyncio.Semaphore(MAX_SENDS)
        self._parts = Parts(
            queue, events, sender, payload, clock, metrics, sends, lambda: self._is_stopping
        )
        events.on_commit(self._wake.set)
        metrics.webhook_lanes.set_function(lambda: len(self._lanes))

    async def run(self) -> None:
        """Start lanes until cancelled. The service then waits for their requests under way."""
        self._is_stopping = False
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
                started = perf_counter()
                try:
                    await self._start_lanes()
                except ServiceUnavailable:
                    log.debug("webhooks could not be looked up; retried in a second")
                took = perf_counter() - started
                await asyncio.sleep(min(max(MIN_REST_SECONDS, REST * took), POLL_SECONDS))
        finally:
            self._is_stopping = True

    async def _start_lanes(self) -> None:
        room = MAX_LANES - len(self._lanes)
        if room <= 0:
            return
        for webhook_id in await self._queue.due(self._clock.now(), room):
            if webhook_id not in self._lanes:
                self._lanes.add(webhook_id)
                self._tasks.start(self._run(webhook_id, Lane(self._parts, webhook_id).run()))

    async def _run(self, webhook_id: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ServiceUnavailable as error:
            log.warning("webhook's turn not finished", webhook=webhook_id, why=error.why)
        except Exception as error:
            log.error("webhook's turn failed", webhook=webhook_id, exc_info=error)
        finally:
            self._lanes.discard(webhook_id)
            self._wake.set()
