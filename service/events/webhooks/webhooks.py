"""Webhooks: make, read, change, test and delete them, and send messages again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from service.crypto.tokens import InvalidToken, Tokens
from service.crypto.vault import Vault
from service.domain.clock import Clock
from service.domain.errors import InvalidRequest, RateLimitExceeded
from service.domain.ids import random_id
from service.domain.model import DAY, Micros, Place
from service.domain.names import required_webhook_id
from service.domain.webhooks import (
    TEST,
    Delivery,
    EventType,
    FailedPlace,
    Webhook,
    WebhookStore,
)
from service.events.webhooks import messages
from service.events.webhooks.secrets import check_secret, new_secret, sealed
from service.events.webhooks.sender import TEST_SECONDS, Outcome, Sender
from service.platforms.egress.receivers import Receivers
from service.runtime.token_buckets import Buckets

FORMER_FOR: Micros = DAY
"""How long messages are signed with the former secret as well."""
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
TESTS_PER_SECOND, TESTS_AT_ONCE = 1, 5
"""Of one tenant, in one process."""
MAX_MESSAGE_ID_CHARS = 128
KNOWN = frozenset(EventType)


@dataclass(frozen=True, slots=True)
class CreatedWebhook:
    """The reply to a create."""

    webhook: Webhook
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RotatedSecret:
    """The reply to a rotation."""

    secret: str = field(repr=False)
    former_expires_at: Micros


@dataclass(frozen=True, slots=True)
class FailedPage:
    """A page of failed deliveries, and the token for the next page; empty on the last."""

    deliveries: list[Delivery]
    next_page_token: str


class Webhooks:
    """The webhooks of tenants. Methods raise InvalidRequest and WebhookNotFound."""

    def __init__(
        self,
        store: WebhookStore,
        receivers: Receivers,
        sender: Sender,
        vault: Vault,
        tokens: Tokens,
        clock: Clock,
    ) -> None:
        self._store = store
        self._receivers = receivers
        self._sender = sender
        self._vault = vault
        self._tokens = tokens
        self._clock = clock
        self._tests = Buckets(TESTS_PER_SECOND, TESTS_AT_ONCE)

    async def create(
        self, tenant_id: str, url: str, event_types: Sequence[str], secret: str | None = None
    ) -> CreatedWebhook:
        """Add a webhook. Raises WebhookLimitReached too."""
        if fault := self._receivers.fault(url):
            raise InvalidRequest("url", fault)
        if len(event_types) != len(set(event_types)):
            raise InvalidRequest("event_types", "names a type twice")
        if not KNOWN.issuperset(event_types):
            raise InvalidRequest("event_types", f"must be of {', '.join(sorted(KNOWN))}")
        if secret is None:
            secret = new_secret()
        check_secret(secret)
        now = self._clock.now()
        webhook = Webhook(f"wh_{random_id()}", tenant_id, url, tuple(sorted(event_types)), now)
        await self._store.create(webhook, sealed(secret, webhook, self._vault))
        return CreatedWebhook(webhook, secret)

    async def get(self, tenant_id: str, webhook_id: str) -> Webhook:
        return await self._store.get(tenant_id, required_webhook_id(webhook_id))

    async def list(self, tenant_id: str) -> list[Webhook]:
        """Return the tenant's webhooks, oldest first."""
        return await self._store.of_tenant(tenant_id)

    async def enable(self, tenant_id: str, webhook_id: str) -> Webhook:
        """Enable it, and try at once what waits."""
        await self._store.enable(tenant_id, required_webhook_id(webhook_id), self._clock.now())
        return await self.get(tenant_id, webhook_id)

    async def rotate(self, tenant_id: str, webhook_id: str) -> RotatedSecret:
        """Give it a new secret, beside which the former one is valid for FORMER_FOR."""
        webhook = await self.get(tenant_id, webhook_id)
        secret, now = new_secret(), self._clock.now()
        until = now + FORMER_FOR
        await self._store.rotate(webhook, sealed(secret, webhook, self._vault), now, until)
        return RotatedSecret(secret, until)

    async def delete(self, tenant_id: str, webhook_id: str) -> None:
        """Delete it with its secrets and deliveries."""
        await self._store.delete(tenant_id, required_webhook_id(webhook_id), self._clock.now())

    async def test(self, tenant_id: str, webhook_id: str, deadline: float = inf) -> Outcome:
        """Send a test message once, until *deadline* (event-loop time) at the latest.

        Raises RateLimitExceeded.
        """
        webhook = await self.get(tenant_id, webhook_id)
        if wait := self._tests.take(tenant_id):
            raise RateLimitExceeded(wait)
        now = self._clock.now()
        secrets = self._sender.opened(webhook, await self._store.secrets(webhook, now))
        text = messages.body(TEST, now, {"webhookId": webhook_id})
        message_id = f"{webhook.message_id(now)}_test"
        seconds = min(TEST_SECONDS, deadline - asyncio.get_running_loop().time())
        return await self._sender.send(webhook, secrets, message_id, text, max(0.0, seconds))

    async def failed(
        self, tenant_id: str, webhook_id: str, page_size: int, page_token: str
    ) -> FailedPage:
        """Return a page of the deliveries that were given up, in the order of that."""
        if page_size < 0:
            raise InvalidRequest("page_size", "must not be negative")
        size = min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        webhook_id = required_webhook_id(webhook_id)
        bound_to = (tenant_id, "ListFailedDeliveries", webhook_id)
        after = FailedPlace(0, "")
        if page_token:
            try:
                place = self._tokens.place(page_token, *bound_to)
            except InvalidToken:
                raise InvalidRequest("page_token", "is not a token for this list") from None
            after = FailedPlace(place.created_at, place.profile_key)
        found = await self._store.failed(tenant_id, webhook_id, after, size + 1)
        if len(found) <= size:
            return FailedPage(found, "")
        last = found[size - 1]
        token = self._tokens.page(Place(last.failed_at or 0, last.message_id), *bound_to)
        return FailedPage(found[:size], token)

    async def replay(
        self, tenant_id: str, webhook_id: str, *, since: Micros | None, message_id: str | None
    ) -> int:
        """Queue the kept events since *since*, or one message; return how many were queued."""
        if (since is None) == (message_id is None):
            raise InvalidRequest("", "must have exactly one of messageId and since")
        if message_id is not None and not 0 < len(message_id) <= MAX_MESSAGE_ID_CHARS:
            raise InvalidRequest("message_id", f"must have 1 to {MAX_MESSAGE_ID_CHARS} characters")
        webhook = await self.get(tenant_id, webhook_id)
        count = await self._store.replay(webhook, self._clock.now(), since, message_id)
        if message_id is not None and not count:
            fault = "is no message of this webhook whose event is kept, or its queue is full"
            raise InvalidRequest("message_id", fault)
        return count
