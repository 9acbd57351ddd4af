"""Tenants."""

from service.domain.model import Micros, Tenant
from service.domain.records import SessionEnvelope
from service.storage.audit import write_audited
from service.storage.engine import Engine, Transaction
from service.storage.events import BATCH
from service.storage.rows import stored_session
from service.storage.statements import tenants as sql


class SqlTenants:
    """The port `TenantStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, tenant: Tenant) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.ADD_TENANT, tenant.tenant_id, tenant.name, tenant.created_at)

        await write_audited(self._engine, job, tenant.created_at, tenant_id=tenant.tenant_id)

    async def all(self) -> list[Tenant]:
        return [
            Tenant(row["tenant_id"], row["name"], row["created_at"])
            for row in await self._engine.read(sql.TENANTS)
        ]

    async def delete_batch(self, tenant_id: str, at: Micros) -> list[SessionEnvelope] | None:
        async def job(transaction: Transaction) -> list[SessionEnvelope] | None:
            if not await transaction.run(sql.TENANT_EXISTS, tenant_id):
                return None
            if await transaction.run(sql.DELETE_KEYS_OF_TENANT, tenant_id, BATCH):
                return []
            sessions = await transaction.run(sql.SESSIONS_OF_TENANT, tenant_id, BATCH)
            for statement in sql.DELETE_OF_TENANT:
                if await transaction.run(statement, tenant_id, BATCH):
                    break
            else:
                await transaction.run(sql.DELETE_TENANT, tenant_id)
            return [stored_session(tenant_id, row) for row in sessions]

        existed = lambda sessions: sessions is not None  # noqa: E731
        return await write_audited(self._engine, job, at, existed, tenant_id=tenant_id)
