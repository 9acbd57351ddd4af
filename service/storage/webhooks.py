"""Webhooks and their secrets."""

from collections.abc import Awaitable, Callable, Sequence

from service.domain.errors import InvalidApiKey, WebhookLimitReached, WebhookNotFound
from service.domain.model import Micros
from service.domain.records import Envelope
from service.domain.webhooks import (
    MAX_QUEUED,
    MAX_WEBHOOKS,
    TYPES,
    Delivery,
    DisabledReason,
    FailedPlace,
    Webhook,
    WebhookSecret,
)
from service.storage.audit import write_audited
from service.storage.engine import Engine, Row, Transaction
from service.storage.events import event_in
from service.storage.statements import webhooks as sql

_REASONS = DisabledReason.__members__


class SqlWebhooks:
    """The port `WebhookStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, webhook: Webhook, secret: WebhookSecret) -> None:
        tenant_id, webhook_id, at = webhook.tenant_id, webhook.webhook_id, webhook.created_at

        async def job(transaction: Transaction) -> None:
            latest = await transaction.run(sql.LATEST_EVENT, tenant_id)
            if not latest:
                raise InvalidApiKey
            [count] = await transaction.run(sql.COUNT_WEBHOOKS, tenant_id)
            if count["webhooks"] >= MAX_WEBHOOKS:
                raise WebhookLimitReached(MAX_WEBHOOKS)
            types, position = " ".join(webhook.event_types), latest[0]["last_event"]
            values = (webhook_id, tenant_id, webhook.url, types, at, position)
            await transaction.run(sql.ADD_WEBHOOK, *values)
            await _add_secret(transaction, webhook_id, secret, at)

        await write_audited(
            self._engine, job, at, turn=tenant_id, tenant_id=tenant_id, account_id=webhook_id
        )

    async def get(self, tenant_id: str, webhook_id: str) -> Webhook:
        rows = await self._engine.read(sql.WEBHOOK, tenant_id, webhook_id)
        if not rows:
            raise WebhookNotFound
        return webhook_in(rows[0])

    async def of_tenant(self, tenant_id: str) -> list[Webhook]:
        return [webhook_in(row) for row in await self._engine.read(sql.WEBHOOKS, tenant_id)]

    async def secrets(self, webhook: Webhook, at: Micros) -> tuple[WebhookSecret, ...]:
        return secrets_in(await self._engine.read(sql.SECRETS, webhook.webhook_id, at))

    async def enable(self, tenant_id: str, webhook_id: str, at: Micros) -> None:
        async def also(transaction: Transaction) -> None:
            await transaction.run(sql.BRING_FORWARD, webhook_id, at)

        await self._change(sql.ENABLE, tenant_id, webhook_id, at, also)

    async def rotate(
        self, webhook: Webhook, secret: WebhookSecret, at: Micros, former_until: Micros
    ) -> None:
        tenant_id, webhook_id = webhook.tenant_id, webhook.webhook_id

        async def job(transaction: Transaction) -> None:
            if not await transaction.run(sql.WEBHOOK, tenant_id, webhook_id):
                raise WebhookNotFound
            await transaction.run(sql.DELETE_FORMER_SECRETS, webhook_id)
            await transaction.run(sql.EXPIRE_SECRETS, webhook_id, former_until)
            await _add_secret(transaction, webhook_id, secret, at)

        await write_audited(
            self._engine, job, at, turn=webhook_id, tenant_id=tenant_id, account_id=webhook_id
        )

    async def delete(self, tenant_id: str, webhook_id: str, at: Micros) -> None:
        await self._change(sql.DELETE_WEBHOOK, tenant_id, webhook_id, at)

    async def failed(
        self, tenant_id: str, webhook_id: str, after: FailedPlace, limit: int
    ) -> list[Delivery]:
        await self.get(tenant_id, webhook_id)
        return [
            delivery_in(row)
            for row in await self._engine.read(sql.FAILED, webhook_id, *after, limit)
        ]

    async def replay(
        self, webhook: Webhook, at: Micros, since: Micros | None, message_id: str | None
    ) -> int:
        webhook_id, tenant_id = webhook.webhook_id, webhook.tenant_id

        async def job(transaction: Transaction) -> int:
            rows = await transaction.run(sql.WEBHOOK, tenant_id, webhook_id)
            if not rows:
                raise WebhookNotFound
            now = webhook_in(rows[0])
            [count] = await transaction.run(sql.COUNT_WAITING, webhook_id)
            room = max(0, MAX_QUEUED - count["waiting"])
            if since is not None:
                found = await transaction.run(
                    sql.EVENTS_SINCE, tenant_id, since, now.position, room
                )
                deliveries = [each for row in found if (each := _again(now, row, at))]
            else:
                assert message_id is not None
                deliveries = (await _one(transaction, now, message_id, at))[:room]
            for delivery in deliveries:
                await put_delivery(transaction, webhook_id, delivery)
            return len(deliveries)

        return await write_audited(
            self._engine, job, at, turn=webhook_id, tenant_id=tenant_id, account_id=webhook_id
        )

    async def _change(
        self,
        statement: str,
        tenant_id: str,
        webhook_id: str,
        at: Micros,
        also: Callable[[Transaction], Awaitable[None]] | None = None,
    ) -> None:
        async def job(transaction: Transaction) -> None:
            if not await transaction.run(statement, tenant_id, webhook_id):
                raise WebhookNotFound
            if also is not None:
                await also(transaction)

        await write_audited(
            self._engine, job, at, turn=webhook_id, tenant_id=tenant_id, account_id=webhook_id
        )


async def put_delivery(transaction: Transaction, webhook_id: str, delivery: Delivery) -> None:
    """Add a delivery, or replace the state of the one with that id."""
    await transaction.run(
        sql.PUT_DELIVERY,
        webhook_id,
        delivery.message_id,
        delivery.number,
        delivery.profile_key,
        delivery.event_type,
        delivery.next_at,
        delivery.body,
        delivery.attempts,
        delivery.first_at,
        delivery.cause,
        delivery.http_status,
        delivery.failed_at,
    )


async def _add_secret(
    transaction: Transaction, webhook_id: str, secret: WebhookSecret, at: Micros
) -> None:
    sealed = secret.sealed
    await transaction.run(
        sql.ADD_SECRETS, webhook_id, secret.generation, sealed.ring_key_id, sealed.envelope, at
    )


async def _one(
    transaction: Transaction, webhook: Webhook, message_id: str, at: Micros
) -> list[Delivery]:
    """Return the delivery of one message, to be sent again; none if it is unknown or not kept."""
    stored = await transaction.run(sql.DELIVERY, webhook.webhook_id, message_id)
    if stored and stored[0]["body"] is not None:
        given = delivery_in(stored[0])
        return [Delivery(given.message_id, given.number, "", given.event_type, at, body=given.body)]
    number = message_id.removeprefix(webhook.message_id(0)[:-1])
    if not number.isdecimal() or not number.isascii() or len(number) > 18:
        return []
    found = await transaction.run(sql.EVENT, webhook.tenant_id, int(number), webhook.position)
    return [each for row in found if (each := _again(webhook, row, at, chosen=True))]


def _again(webhook: Webhook, row: Row, at: Micros, *, chosen: bool = False) -> Delivery | None:
    """Return the delivery of an event; None if its type is not wanted and it was not *chosen*."""
    event = event_in(row)
    event_type = TYPES[event.kind]
    if not chosen and not webhook.wants(event_type):
        return None
    message_id = webhook.message_id(event.number)
    return Delivery(message_id, event.number, event.profile_key, event_type, at)


def webhook_in(row: Row) -> Webhook:
    """Return the webhook of a row of WEBHOOKS."""
    webhook_id, tenant_id, url, event_types, created_at, position, reason, *rest = tuple(row)[:10]
    # a reason of a newer version: disabled it is
    disabled = None if reason is None else _REASONS.get(reason, DisabledReason.FAILING)
    types = tuple(event_types.split())
    return Webhook(webhook_id, tenant_id, url, types, created_at, position, disabled, *rest)


def secrets_in(rows: Sequence[Row]) -> tuple[WebhookSecret, ...]:
    """Return the secrets of rows of SECRETS."""
    return tuple(
        WebhookSecret(
            row["generation"],
            Envelope(row["ring_key_id"], bytes(row["envelope"])),
            row["expires_at"],
        )
        for row in rows
    )


def delivery_in(row: Row) -> Delivery:
    """Return the delivery of a row of WAITING."""
    return Delivery(*tuple(row))
