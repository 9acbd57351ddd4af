"""Lane: sends one webhook's messages while this process has the claim on it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import structlog

from service.domain.clock import Clock
from service.domain.model import SECOND, ConnectionEvent, Micros
from service.domain.store import EventStore
from service.domain.webhooks import MAX_QUEUED, Claimed, DeliveryQueue
from service.events.webhooks import messages
from service.events.webhooks.messages import Payload
from service.events.webhooks.sender import SEND_SECONDS, Outcome, Sender
from service.events.webhooks.turn import Item, Turn
from service.runtime.metrics import Metrics

CLAIM_SECONDS = 45.0
TURN_SECONDS = 10.0
"""From the start of a turn to its last new request. With SEND_SECONDS and the write of its result
(10 s), it ends before the claim does: no request of a lane meets those of its successor."""
LANE_SECONDS = 20.0
"""After which a lane releases its claim: others may wait."""
MAX_EVENTS = 100
"""Of one turn."""
SENDS_AT_ONCE = 4
"""To one receiver, each about another profile."""
FULL_SECONDS = 5.0
"""Between two looks at a webhook whose queue is full."""
SLOW_SECONDS = 2.0
"""A receiver that takes longer is sent one message at a time: it holds one connection."""
assert TURN_SECONDS + SEND_SECONDS + 10 < CLAIM_SECONDS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What all lanes of a process share. *sends* bounds their requests under way."""

    queue: DeliveryQueue
    events: EventStore
    sender: Sender
    payload: Payload
    clock: Clock
    metrics: Metrics
    sends: asyncio.Semaphore
    is_stopping: Callable[[], bool]


class Lane:
    """Sends what is due to one webhook, in turns, for LANE_SECONDS at most."""

    def __init__(self, parts: Parts, webhook_id: str) -> None:
        self._parts = parts
        self._webhook_id = webhook_id
        self._is_slow = False

    async def run(self) -> None:
        """Raises ServiceUnavailable; the claim then expires."""
        now = self._parts.clock.now()
        claimed = await self._parts.queue.claim(self._webhook_id, now, now + _micros(CLAIM_SECONDS))
        ends_at = asyncio.get_running_loop().time() + LANE_SECONDS
        while claimed is not None:
            claimed = await self._turn(claimed, ends_at)

    async def _turn(self, claimed: Claimed, ends_at: float) -> Claimed | None:
        """Send and save; return the claim if there is more to do, else None: it is released."""
        parts, started = self._parts, asyncio.get_running_loop().time()
        now = parts.clock.now()
        turn, is_last, is_full = await self._planned(claimed, now)
        await self._send_all(turn, claimed, started + TURN_SECONDS)
        at = parts.clock.now()
        loop_time = asyncio.get_running_loop().time()
        is_over = parts.is_stopping() or loop_time >= ends_at or turn.is_paused
        is_released = is_over or (is_last and not turn.chains)
        if is_full and not any(item.is_done for item in turn.items):
            turn.pause(at + _micros(FULL_SECONDS))
        progress = turn.progress(at if is_released else at + _micros(CLAIM_SECONDS), at)
        if not await parts.queue.save(claimed, progress):
            parts.metrics.webhook_deliveries.labels("claim_lost").inc()
            return None
        self._log(turn, claimed)
        if is_released:
            return None
        return claimed._replace(webhook=progress.webhook, until=progress.until)

    async def _planned(self, claimed: Claimed, now: Micros) -> tuple[Turn, bool, bool]:
        """Return the turn, whether no event is left after it, and whether the queue is full."""
        parts, webhook = self._parts, claimed.webhook
        waiting = await parts.queue.waiting(webhook.webhook_id)
        limit = min(MAX_EVENTS, MAX_QUEUED - len(waiting))
        events: list[ConnectionEvent] = []
        if limit > 0:
            events = await parts.events.page(webhook.tenant_id, webhook.position, limit)
        turn = Turn(webhook)
        turn.plan(waiting, events, now)
        if limit > 0 and not events:
            # it was claimed for a reason: perhaps all that it was not sent is gone
            kept = await parts.events.kept(webhook.tenant_id)
            if kept is not None:
                turn.skip_to(kept.last_pruned, now)
        for delivery in turn.kept.values():
            if delivery.body is not None:
                parts.metrics.webhook_deliveries.labels("gap").inc()
                log.warning("webhook has a gap", webhook=webhook.webhook_id)
        is_last = len(events) < limit and not turn.kept
        return turn, is_last, limit <= 0

    async def _send_all(self, turn: Turn, claimed: Claimed, until: float) -> None:
        """Send the chains of *turn* until all are done, *until*, or until the receiver fails."""
        if not turn.chains:
            return
        secrets = self._parts.sender.opened(claimed.webhook, claimed.secrets)
        # a receiver that has failed is tried with one message
        at_once = 1 if claimed.webhook.failures or self._is_slow else SENDS_AT_ONCE
        async with asyncio.TaskGroup() as group:
            for number in range(min(at_once, len(turn.chains))):
                group.create_task(self._send_chains(turn, secrets, until, number))

    async def _send_chains(self, turn: Turn, secrets: list[str], until: float, number: int) -> None:
        loop, parts = asyncio.get_running_loop(), self._parts
        while turn.chains:
            chain = turn.chains.popleft()
            while chain:
                async with parts.sends:
                    is_over = loop.time() >= until or turn.is_paused or parts.is_stopping()
                    if is_over or (number and self._is_slow):
                        turn.chains.appendleft(chain)
                        return
                    if not await self._send(turn, chain[0], secrets):
                        break
                    chain.popleft()

    async def _send(self, turn: Turn, item: Item, secrets: list[str]) -> bool:
        """Try one message; return whether the next one of its profile may be sent."""
        parts, started = self._parts, perf_counter()
        text = await self._text(turn, item)
        if text is None:
            turn.expire(item, parts.clock.now())
            parts.metrics.webhook_deliveries.labels("expired").inc()
            return True
        webhook, message_id = turn.webhook, item.delivery.message_id
        outcome = await parts.sender.send(webhook, secrets, message_id, text)
        seconds = perf_counter() - started
        self._is_slow = seconds > SLOW_SECONDS
        now = parts.clock.now()
        turn.take(item, outcome, now)
        parts.metrics.webhook_seconds.observe(seconds)
        parts.metrics.webhook_deliveries.labels(_label(item, outcome)).inc()
        return outcome.delivered or item.delivery.failed_at is not None

    async def _text(self, turn: Turn, item: Item) -> str | None:
        """Return the body of a message; None if its event is no longer kept."""
        delivery, event = item.delivery, item.event
        if delivery.body is not None:
            return delivery.body
        if event is None:
            after = delivery.number - 1
            found = await self._parts.events.page(turn.webhook.tenant_id, after, 1)
            if not found or found[0].number != delivery.number:
                return None
            [event] = found
        # the time of a deleted profile's event is deleted as well
        at = event.occurred_at or self._parts.clock.now()
        return messages.body(delivery.event_type, at, self._parts.payload(event))

    def _log(self, turn: Turn, claimed: Claimed) -> None:
        before, after = claimed.webhook, turn.webhook
        if turn.disabled is not None:
            self._parts.metrics.webhook_deliveries.labels("disabled").inc()
            log.warning(
                "webhook disabled",
                webhook=after.webhook_id,
                tenant=after.tenant_id,
                reason=turn.disabled.value,
            )
        elif after.failures and not before.failures:
            log.info("webhook fails", webhook=after.webhook_id, tenant=after.tenant_id)
        elif before.failures and not after.failures:
            log.info("webhook works again", webhook=after.webhook_id, tenant=after.tenant_id)


def _label(item: Item, outcome: Outcome) -> str:
    if outcome.delivered:
        return "delivered"
    return "given_up" if item.delivery.failed_at is not None else "failed"


def _micros(seconds: float) -> Micros:
    return int(seconds * SECOND)
