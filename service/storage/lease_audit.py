"""The audit trail of leases."""

from collections.abc import Sequence

from service.domain.model import Micros
from service.domain.records import AuditedLease
from service.storage.engine import Engine, Transaction
from service.storage.statements import lease_audit as sql

AT_ONCE = 100
"""Rows per statement."""


class SqlLeaseAudit:
    """The port `LeaseAuditStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add_leases(self, leases: Sequence[AuditedLease]) -> None:
        async def job(transaction: Transaction) -> None:
            for start in range(0, len(leases), AT_ONCE):
                some = leases[start : start + AT_ONCE]
                values = [value for lease in some for value in _columns(lease)]
                await transaction.run(sql.add_leases(len(some)), *values)

        await self._engine.write(job)

    async def leases(self, tenant_id: str, since: Micros, limit: int) -> list[AuditedLease]:
        rows = await self._engine.read(sql.LEASES, tenant_id, since, limit)
        return [
            AuditedLease(
                row["at"],
                row["tenant_id"],
                row["key_id"],
                row["profile_key"],
                row["platform"],
                row["account_id"],
                row["expires_at"],
            )
            for row in rows
        ]

    async def delete_leases(self, before: Micros, limit: int) -> int:
        async def job(transaction: Transaction) -> int:
            return len(await transaction.run(sql.DELETE_LEASES, before, limit))

        return await self._engine.write(job)


def _columns(lease: AuditedLease) -> tuple[object, ...]:
    return (
        lease.tenant_id,
        lease.at,
        lease.key_id,
        lease.profile_key,
        lease.platform,
        lease.account_id,
        lease.expires_at,
    )
