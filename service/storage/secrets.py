"""Sealed secrets of all tenants: which keys wrap them, and their rewrapping."""

from collections import Counter
from collections.abc import Mapping, Sequence

from service.domain.model import Micros
from service.domain.records import Envelope, Purpose, SecretAddress, SecretRow
from service.storage.engine import Engine, Transaction
from service.storage.rows import stored_session
from service.storage.statements import secrets as sql

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
