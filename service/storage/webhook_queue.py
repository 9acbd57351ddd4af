"""What waits to be sent to webhooks, and the claims on them."""

from collections.abc import Mapping, Sequence

from service.domain.audit import OK, AuditRow
from service.domain.model import SECOND, Micros
from service.domain.webhooks import Claimed, Delivery, Progress, QueueCounts, Webhook
from service.storage.engine import Engine, Transaction
from service.storage.events import BATCH
from service.storage.statements import audit
from service.storage.statements import webhooks as sql
from service.storage.webhooks import delivery_in, put_delivery, secrets_in, webhook_in

MAX_RESUME_IN: Micros = 2 * 3600 * SECOND
"""A pause that ends later was written by a clock that has been put back since."""
DISABLE = "DisableWebhook"
"""What the service's own row of the audit trail names as its method."""


class SqlWebhookQueue:
    """The port `DeliveryQueue`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def due(self, at: Micros, limit: int) -> list[str]:
        rows = await self._engine.read(sql.DUE, at, at + MAX_RESUME_IN, at, limit)
        return [row["webhook_id"] for row in rows]

    async def claim(self, webhook_id: str, at: Micros, until: Micros) -> Claimed | None:
        async def job(transaction: Transaction) -> Claimed | None:
            rows = await transaction.run(sql.CLAIM, webhook_id, until, at)
            if not rows:
                return None
            secrets = secrets_in(await transaction.run(sql.SECRETS, webhook_id, at))
            return Claimed(webhook_in(rows[0]), rows[0]["fence"], until, secrets)

        return await self._engine.write(job)

    async def waiting(self, webhook_id: str) -> list[Delivery]:
        return [delivery_in(row) for row in await self._engine.read(sql.WAITING, webhook_id)]

    async def save(self, claimed: Claimed, progress: Progress) -> bool:
        webhook = progress.webhook
        reason = webhook.disabled_reason
        state = (
            webhook.position,
            None if reason is None else reason.value,
            webhook.failures,
            webhook.failing_since,
            webhook.resume_at,
        )

        async def job(transaction: Transaction) -> bool:
            held = (webhook.webhook_id, claimed.fence)
            if not await transaction.run(sql.SAVE, *held, *state, progress.until):
                return False
            for message_id in progress.delivered:
                await transaction.run(sql.DELETE_DELIVERY, webhook.webhook_id, message_id)
            for delivery in progress.kept:
                await put_delivery(transaction, webhook.webhook_id, delivery)
            await _put_back(transaction, webhook, progress.kept)
            if progress.notice is not None:
                await _disabled(transaction, webhook, progress.notice, progress.at)
            return True

        return await self._engine.write(job)

    async def release_all(self) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.RELEASE_ALL)

        await self._engine.write(job)

    async def counts(self) -> QueueCounts:
        [row] = await self._engine.read(sql.COUNTS)
        return QueueCounts(*tuple(row))

    async def key_uses(self) -> Mapping[str, int]:
        rows = await self._engine.read(sql.KEY_USES)
        return {row["ring_key_id"]: row["uses"] for row in rows}

    async def oldest_waiting(self, at: Micros) -> Micros | None:
        [row] = await self._engine.read(sql.OLDEST_WAITING, at)
        oldest: Micros | None = row["oldest"]
        return oldest

    async def prune(self, before: Micros) -> bool:
        async def job(transaction: Transaction) -> bool:
            return bool(await transaction.run(sql.PRUNE, before, BATCH))

        return await self._engine.write(job)


async def _put_back(transaction: Transaction, webhook: Webhook, kept: Sequence[Delivery]) -> None:
    """Have no delivery due before an earlier one of its profile that has just failed."""
    for delivery in kept:
        if delivery.attempts and delivery.failed_at is None:
            put_back = (webhook.webhook_id, delivery.profile_key, delivery.next_at)
            await transaction.run(sql.PUT_BACK, *put_back)


async def _disabled(
    transaction: Transaction, webhook: Webhook, notice: Delivery, at: Micros
) -> None:
    """Record that *webhook* was disabled, and tell the tenant's other webhooks."""
    row = AuditRow(at, webhook.tenant_id, DISABLE, OK, account_id=webhook.webhook_id)
    await transaction.run(audit.ADD_ROW, *row[:-1])
    for row_ in await transaction.run(sql.WEBHOOKS, webhook.tenant_id):
        other = webhook_in(row_)
        is_told = other.disabled_reason is None and other.wants(notice.event_type)
        if is_told and other.webhook_id != webhook.webhook_id:
            [latest] = await transaction.run(sql.LATEST_EVENT, webhook.tenant_id)
            numbered = Delivery(
                f"{notice.message_id}_{other.webhook_id.removeprefix('wh_')}",
                latest["last_event"],
                "",
                notice.event_type,
                at,
                body=notice.body,
            )
            await put_delivery(transaction, other.webhook_id, numbered)
