"""Turn: what is sent to one webhook between two writes to the store.

A chain is the messages about one profile, in order. Chains are sent side by side; inside one, each
message waits until the one before it was accepted.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from service.domain.model import ConnectionEvent, Micros
from service.domain.webhooks import (
    DISABLED_AFTER,
    GAP,
    TRIED_FOR,
    TYPES,
    Delivery,
    DisabledReason,
    EventType,
    Progress,
    Webhook,
)
from service.events.webhooks import backoff, messages
from service.events.webhooks.sender import Outcome

EVENT_EXPIRED = "EVENT_EXPIRED"


@dataclass(slots=True)
class Item:
    """A message of a turn. *event*: None until it is read, or if the message is about none."""

    delivery: Delivery
    event: ConnectionEvent | None = None
    is_stored: bool = False
    is_done: bool = False
    """Whether it was delivered."""
    is_tried: bool = False


@dataclass(slots=True)
class Turn:
    """Plans what to send, takes the outcomes, and returns what they change."""

    webhook: Webhook
    chains: deque[deque[Item]] = field(default_factory=deque)
    items: list[Item] = field(default_factory=list)
    kept: dict[str, Delivery] = field(default_factory=dict)
    """What is stored although it was not tried: it waits behind another, or reports a gap."""
    read_to: int = 0
    """The number of the last event that was read."""
    disabled: DisabledReason | None = None
    is_paused: bool = False
    """Whether the receiver is to be left alone from now on."""

    def plan(
        self, waiting: Iterable[Delivery], events: Iterable[ConnectionEvent], at: Micros
    ) -> None:
        """Make the chains of *waiting* that are due, and of *events*, which follow them."""
        self.read_to = self.webhook.position
        by_profile: dict[str, deque[Item]] = {}
        held: dict[str, Micros] = {}
        """Profiles whose next message is not due yet, and when it is."""
        for delivery in waiting:
            key = delivery.profile_key
            if key in held or delivery.next_at > at:
                held[key] = max(held.get(key, 0), delivery.next_at)
            else:
                by_profile.setdefault(key, deque()).append(Item(delivery, is_stored=True))
        for event in events:
            if event.number != self.read_to + 1:
                self._note_gap(event.number - 1, at)
            self.read_to = event.number
            event_type = TYPES[event.kind]
            if not self.webhook.wants(event_type):
                continue
            key = event.profile_key
            message_id = self.webhook.message_id(event.number)
            delivery = Delivery(message_id, event.number, key, event_type, at)
            if key in held:
                self.kept[message_id] = replace(delivery, next_at=held[key])
            else:
                by_profile.setdefault(key, deque()).append(Item(delivery, event))
        self.chains.extend(by_profile.values())
        self.items = [item for chain in by_profile.values() for item in chain]

    def _note_gap(self, last: int, at: Micros) -> None:
        """Report that the events up to *last* were deleted before they were read."""
        first = self.read_to + 1
        data = {"webhookId": self.webhook.webhook_id, "missedEvents": last - self.read_to}
        message_id = f"{self.webhook.message_id(first)}_gap"
        text = messages.body(GAP, at, data)
        self.kept[message_id] = Delivery(message_id, first, "", GAP, at, body=text)
        self.read_to = last

    def skip_to(self, last_pruned: int, at: Micros) -> None:
        """Report that no event up to *last_pruned* is kept, if any of them was not read."""
        if last_pruned > self.read_to:
            self._note_gap(last_pruned, at)

    def take(self, item: Item, outcome: Outcome, at: Micros) -> None:
        """Note how a try ended."""
        item.is_tried = True
        if outcome.delivered:
            item.is_done = True
            self.webhook = self.webhook._replace(failures=0, failing_since=None)
            return
        given = item.delivery
        failures, since = self.webhook.failures + 1, self.webhook.failing_since or at
        first_at = given.first_at or at
        resume_at = max(backoff.resume_at(failures, at), at + outcome.wait)
        if outcome.is_gone:
            self.disabled = DisabledReason.GONE
        elif at - since >= DISABLED_AFTER:
            self.disabled = DisabledReason.FAILING
        self.webhook = self.webhook._replace(
            failures=failures,
            failing_since=since,
            resume_at=max(self.webhook.resume_at, resume_at),
            disabled_reason=self.disabled,
        )
        self.is_paused = resume_at > at or self.disabled is not None
        is_over = at - first_at >= TRIED_FOR
        item.delivery = replace(
            given,
            attempts=given.attempts + 1,
            first_at=first_at,
            next_at=max(backoff.next_try(given.attempts + 1, at), at + outcome.wait),
            cause=outcome.cause,
            http_status=outcome.http_status,
            failed_at=at if is_over else None,
        )

    def expire(self, item: Item, at: Micros) -> None:
        """Give up a message whose event is no longer kept."""
        item.is_tried = True
        item.delivery = replace(item.delivery, cause=EVENT_EXPIRED, failed_at=at)

    def pause(self, until: Micros) -> None:
        """Send nothing before *until*."""
        resume_at = max(self.webhook.resume_at, until)
        self.webhook = self.webhook._replace(resume_at=resume_at)

    def progress(self, until: Micros, at: Micros) -> Progress:
        """Return what the turn has changed. New events after the last one tried are read again."""
        new = [item for item in self.items if not item.is_stored]
        position = self.read_to
        if any(not item.is_tried for item in new):
            tried = [item.delivery.number for item in new if item.is_tried]
            position = max([self.webhook.position, *tried])
        kept = [each for each in self.kept.values() if each.number <= position]
        blocked = self._blocked()
        for item in self.items:
            if item.is_done or (item.is_stored and not item.is_tried):
                continue
            delivery = item.delivery
            if item.is_tried or delivery.number <= position:
                later = blocked.get(delivery.profile_key, 0)
                is_waiting = not item.is_tried and later > delivery.next_at
                kept.append(replace(delivery, next_at=later) if is_waiting else delivery)
        return Progress(
            self.webhook._replace(position=position),
            until,
            at,
            [item.delivery.message_id for item in self.items if item.is_done and item.is_stored],
            kept,
            self._notice(at) if self.disabled else None,
        )

    def _blocked(self) -> dict[str, Micros]:
        """Return the profiles with a message that failed in this turn, and when it is due."""
        return {
            item.delivery.profile_key: item.delivery.next_at
            for item in self.items
            if item.is_tried and not item.is_done and item.delivery.failed_at is None
        }

    def _notice(self, at: Micros) -> Delivery:
        assert self.disabled is not None
        data = {"webhookId": self.webhook.webhook_id, "reason": self.disabled.value}
        text = messages.body(EventType.WEBHOOK_DISABLED, at, data)
        message_id = f"{self.webhook.message_id(at)}_disabled"
        return Delivery(message_id, 0, "", EventType.WEBHOOK_DISABLED, at, body=text)
