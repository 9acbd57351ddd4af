"""Tenants and their API keys, and the few facts of the whole store."""

from service.domain.model import ApiKey, Micros, Scope, Tenant
from service.domain.records import SessionEnvelope
from service.storage import statements as sql
from service.storage.engine import Engine, Row, Transaction
from service.storage.events import BATCH
from service.storage.rows import stored_session


class Tenants:
    """The part of `Store` that knows who owns what."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def remembered(self, name: str) -> str | None:
        rows = await self._engine.read(sql.REMEMBERED, name)
        return rows[0]["value"] if rows else None

    async def remember(self, name: str, value: str) -> str:
        async def job(transaction: Transaction) -> str:
            await transaction.run(sql.REMEMBER, name, value)
            rows = await transaction.run(sql.REMEMBERED, name)
            return str(rows[0]["value"])

        return await self._engine.write(job)

    async def revise(self, name: str, was: str, value: str) -> bool:
        async def job(transaction: Transaction) -> bool:
            return bool(await transaction.run(sql.REVISE, name, was, value))

        return await self._engine.write(job)

    async def create_tenant(self, tenant: Tenant) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.ADD_TENANT, tenant.tenant_id, tenant.name, tenant.created_at)

        await self._engine.write(job)

    async def tenants(self) -> list[Tenant]:
        return [
            Tenant(row["tenant_id"], row["name"], row["created_at"])
            for row in await self._engine.read(sql.TENANTS)
        ]

    async def add_api_key(self, key: ApiKey) -> bool:
        async def job(transaction: Transaction) -> bool:
            if not await transaction.run(sql.TENANT_EXISTS, key.tenant_id):
                return False
            await transaction.run(
                sql.ADD_API_KEY,
                key.key_id,
                key.tenant_id,
                key.name,
                " ".join(sorted(key.scopes)),
                key.ring_key_id,
                key.verifier,
                key.created_at,
            )
            return True

        return await self._engine.write(job)

    async def api_key(self, key_id: str) -> ApiKey | None:
        [row] = await self._engine.look_up(sql.API_KEY, key_id, bytes(32))
        # read in either case: an id that there is not is to take as long as one that there is
        key = _api_key(row)
        return key if key.tenant_id else None

    async def api_keys(self, tenant_id: str) -> list[ApiKey]:
        return [_api_key(row) for row in await self._engine.read(sql.API_KEYS, tenant_id)]

    async def revoke_api_key(self, key_id: str, at: Micros) -> bool:
        async def job(transaction: Transaction) -> bool:
            return bool(await transaction.run(sql.REVOKE_API_KEY, key_id, at))

        return await self._engine.write(job)

    async def delete_part_of_tenant(self, tenant_id: str) -> list[SessionEnvelope] | None:
        async def job(transaction: Transaction) -> list[SessionEnvelope] | None:
            if not await transaction.run(sql.TENANT_EXISTS, tenant_id):
                return None
            if await transaction.run(sql.DELETE_KEYS_OF_TENANT, tenant_id, BATCH):
                return []
            sessions = await transaction.run(sql.STORED_SESSIONS_OF_TENANT, tenant_id, BATCH)
            for statement in sql.DELETE_OF_TENANT:
                if await transaction.run(statement, tenant_id, BATCH):
                    break
            else:
                await transaction.run(sql.DELETE_TENANT, tenant_id)
            return [stored_session(tenant_id, row) for row in sessions]

        return await self._engine.write(job)


def _api_key(row: Row) -> ApiKey:
    return ApiKey(
        row["key_id"],
        row["tenant_id"],
        row["name"],
        frozenset(map(Scope, row["scopes"].split())),
        row["ring_key_id"],
        bytes(row["verifier"]),
        row["created_at"],
        row["revoked_at"],
    )
