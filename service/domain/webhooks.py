"""Webhooks: the values, and the port of their store.

A webhook reads its tenant's events from a position of its own. What was sent leaves no row: only a
message that failed, that waits behind one, or that is no event has one, a `Delivery`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from service.domain.model import DAY, EventKind, Micros
from service.domain.records import Envelope, SecretAddress

MAX_WEBHOOKS = 20
"""Of one tenant."""
MAX_QUEUED = 1000
"""Deliveries of one webhook that wait. With more, events wait in the log."""
TRIED_FOR: Micros = 3 * DAY
"""From the first try of a message to the one after which it is given up."""
DISABLED_AFTER: Micros = 5 * DAY
"""From the first of an unbroken row of failures to the one that disables a webhook."""


class EventType(StrEnum):
    """Types of messages that a webhook can choose."""

    CONNECTED = "connection.connected"
    BROKEN = "connection.broken"
    RECOVERED = "connection.recovered"
    HANDLE_CHANGED = "connection.handle_changed"
    DISCONNECTED = "connection.disconnected"
    UNVERIFIED = "connection.unverified"
    WEBHOOK_DISABLED = "webhook.disabled"
    """Another webhook of the tenant was disabled."""


TEST = "webhook.test"
GAP = "webhook.gap"
"""Events that were not sent are no longer kept. Like a test, sent whatever was chosen."""
TYPES = {
    EventKind.CONNECTED: EventType.CONNECTED,
    EventKind.RECONNECTED: EventType.CONNECTED,
    EventKind.HEALTHY: EventType.RECOVERED,
    EventKind.RECOVERED: EventType.RECOVERED,
    EventKind.UNVERIFIED: EventType.UNVERIFIED,
    EventKind.BROKEN: EventType.BROKEN,
    EventKind.HANDLE_CHANGED: EventType.HANDLE_CHANGED,
    EventKind.DISCONNECTED: EventType.DISCONNECTED,
}


class DisabledReason(StrEnum):
    """Why a webhook was disabled; named as in the contract."""

    GONE = "GONE"
    FAILING = "FAILING"


class Webhook(NamedTuple):
    """A webhook.

    *event_types*: empty means all. *position*: the number of the last event that it was sent, or
    that has a delivery. *failures*: failed tries in a row, the first of them at *failing_since*.
    *resume_at*: nothing is sent before then.
    """

    webhook_id: str
    tenant_id: str
    url: str
    event_types: tuple[str, ...]
    created_at: Micros
    position: int = 0
    disabled_reason: DisabledReason | None = None
    failures: int = 0
    failing_since: Micros | None = None
    resume_at: Micros = 0

    def wants(self, event_type: str) -> bool:
        return not self.event_types or event_type in self.event_types

    def message_id(self, number: int) -> str:
        """Return the id of the message about an event: the same for each try and replay."""
        return f"msg_{self.webhook_id.removeprefix('wh_')}_{number}"

    def address(self, generation: int) -> SecretAddress:
        """Return where a secret of it belongs. With another URL, it does not open."""
        return SecretAddress(self.tenant_id, "", "", self.webhook_id, self.url, generation)


class WebhookSecret(NamedTuple):
    """A sealed secret of a webhook. *expires_at* None: it is the newest."""

    generation: int
    sealed: Envelope
    expires_at: Micros | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that waits to be sent, or was given up at *failed_at*.

    *number*: of its event. *body*: of a message that is about no event; else the event is read
    when it is sent. *cause*, *http_status*: of the last try.
    """

    message_id: str
    number: int
    profile_key: str
    event_type: str
    next_at: Micros
    body: str | None = field(default=None, repr=False)
    attempts: int = 0
    first_at: Micros | None = None
    cause: str = ""
    http_status: int = 0
    failed_at: Micros | None = None


class Claimed(NamedTuple):
    """A webhook that this process alone sends to until *until*, with its secrets, newest first."""

    webhook: Webhook
    fence: int
    until: Micros
    secrets: tuple[WebhookSecret, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a turn of sending has changed. *until*: of the claim; 0 releases it.

    *webhook*: with its new position, failures and state. *delivered*: ids of deliveries to delete.
    *kept*: deliveries to add or replace.
    """

    webhook: Webhook
    until: Micros
    at: Micros
    delivered: Sequence[str] = ()
    kept: Sequence[Delivery] = ()
    notice: Delivery | None = None
    """For the tenant's other webhooks, where this one was disabled."""


class FailedPlace(NamedTuple):
    """A position in the list of failed deliveries."""

    failed_at: Micros
    message_id: str


class QueueCounts(NamedTuple):
    """Counts over all tenants. *lag*: the age of the oldest event that waits although its webhook
    has no failure; None if there is none."""

    enabled: int
    disabled: int
    waiting: int
    failed: int


class WebhookStore(Protocol):
    """Webhooks and their secrets. Methods of one webhook raise WebhookNotFound."""

    async def create(self, webhook: Webhook, secret: WebhookSecret) -> None:
        """Add a webhook after the tenant's latest event.

        Raises WebhookLimitReached, or InvalidApiKey if the tenant does not exist.
        """

    async def get(self, tenant_id: str, webhook_id: str) -> Webhook: ...

    async def of_tenant(self, tenant_id: str) -> list[Webhook]:
        """Return the tenant's webhooks, oldest first."""

    async def secrets(self, webhook: Webhook, at: Micros) -> tuple[WebhookSecret, ...]:
        """Return the secrets that are valid at *at*, newest first."""

    async def enable(self, tenant_id: str, webhook_id: str, at: Micros) -> None:
        """Enable it, and end a pause and the row of failures."""

    async def rotate(
        self, webhook: Webhook, secret: WebhookSecret, at: Micros, former_until: Micros
    ) -> None:
        """Add a secret. The newest so far expires at *former_until*; older ones are deleted."""

    async def delete(self, tenant_id: str, webhook_id: str, at: Micros) -> None: ...

    async def failed(
        self, tenant_id: str, webhook_id: str, after: FailedPlace, limit: int
    ) -> list[Delivery]:
        """Return at most *limit* deliveries that were given up, after a place, in order."""

    async def replay(
        self, webhook: Webhook, at: Micros, since: Micros | None, message_id: str | None
    ) -> int:
        """Queue the kept events since *since*, or one message; return how many were queued."""


class DeliveryQueue(Protocol):
    """What waits to be sent to the webhooks of all tenants."""

    async def due(self, at: Micros, limit: int) -> list[str]:
        """Return at most *limit* webhooks that have something to send and that nobody has claimed,
        the one that waits longest first."""

    async def claim(self, webhook_id: str, at: Micros, until: Micros) -> Claimed | None:
        """Claim it; None if another claim holds, or if it is deleted or disabled."""

    async def waiting(self, webhook_id: str) -> list[Delivery]:
        """Return the deliveries that wait, in order of their events' numbers."""

    async def save(self, claimed: Claimed, progress: Progress) -> bool:
        """Write *progress*. Returns False, and writes nothing, if the claim is lost."""

    async def release_all(self) -> None:
        """Release every claim. Only for a starting process that owns the store."""

    async def counts(self) -> QueueCounts: ...

    async def key_uses(self) -> Mapping[str, int]:
        """Return how many secrets each key of the keyring wraps, by key id."""

    async def oldest_waiting(self, at: Micros) -> Micros | None:
        """Return when the oldest event occurred that waits for a webhook without failures."""

    async def prune(self, before: Micros) -> bool:
        """Delete a batch of the deliveries given up before then; return whether there may be
        more."""
