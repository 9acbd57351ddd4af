"""Sealed secrets of all tenants: which keys wrap them, and their rewrapping."""

from collections import Counter
from collections.abc import Mapping, Sequence

from service.domain.model import Micros
from service.domain.records import Envelope, Purpose, SecretAddress, SecretRow
from service.storage.engine import Engine, Transaction
from service.storage.rows import stored_session
from service.storage.statements import secrets as sql
from service.storage.statements import webhooks as of_webhooks

TABLES = {Purpose.CREDENTIAL: "credentials", Purpose.SESSION: "sessions"}


class SqlSecrets:
    """The port `SecretStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def key_uses(self, at: Micros) -> Mapping[str, int]:
        rows = await self._engine.read(sql.KEY_USES, at)
        return Counter({row["ring_key_id"]: row["uses"] for row in rows})

    async def sealed_otherwise(
        self, purpose: Purpose, key_id: str, after: SecretAddress, limit: int
    ) -> list[SecretRow]:
        if purpose is Purpose.WEBHOOK:
            place = (after.account_id, after.generation)
            return await self._webhook_secrets(key_id, place, limit)
        rows = await self._engine.read(
            sql.sealed_otherwise(TABLES[purpose]),
            key_id,
            after.tenant_id,
            after.profile_key,
            after.platform,
            limit,
        )
        found = [stored_session(row["tenant_id"], row) for row in rows]
        return [SecretRow(purpose, stored.address, stored.sealed) for stored in found]

    async def replace_unchanged(self, rewrapped: Sequence[tuple[SecretRow, Envelope]]) -> int:
        async def job(transaction: Transaction) -> int:
            written = 0
            for secret, envelope in rewrapped:
                address = secret.address
                if secret.purpose is Purpose.WEBHOOK:
                    rows = await transaction.run(
                        of_webhooks.REPLACE_UNCHANGED,
                        address.account_id,
                        address.generation,
                        secret.sealed.envelope,
                        envelope.ring_key_id,
                        envelope.envelope,
                    )
                    written += len(rows)
                    continue
                rows = await transaction.run(
                    sql.replace_unchanged(TABLES[secret.purpose]),
                    address.tenant_id,
                    address.profile_key,
                    address.platform,
                    address.generation,
                    secret.sealed.envelope,
                    envelope.ring_key_id,
                    envelope.envelope,
                )
                written += len(rows)
            return written

        return await self._engine.write(job)

    async def _webhook_secrets(
        self, key_id: str, place: tuple[str, int], limit: int
    ) -> list[SecretRow]:
        rows = await self._engine.read(of_webhooks.SEALED_OTHERWISE, key_id, *place, limit)
        return [
            SecretRow(
                Purpose.WEBHOOK,
                SecretAddress(
                    row["tenant_id"], "", "", row["webhook_id"], row["url"], row["generation"]
                ),
                Envelope(row["ring_key_id"], bytes(row["envelope"])),
            )
            for row in rows
        ]
