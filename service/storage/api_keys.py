"""API keys."""

from service.domain.model import ApiKey, Micros
from service.storage.audit import write_audited
from service.storage.decoding import scopes
from service.storage.engine import Engine, Row, Transaction
from service.storage.statements import api_keys as sql
from service.storage.statements.tenants import TENANT_EXISTS


class SqlApiKeys:
    """The port `ApiKeyStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, key: ApiKey) -> bool:
        async def job(transaction: Transaction) -> bool:
            if not await transaction.run(TENANT_EXISTS, key.tenant_id):
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

        return await write_audited(
            self._engine, job, key.created_at, bool, tenant_id=key.tenant_id, key_id=key.key_id
        )

    async def get(self, key_id: str) -> ApiKey | None:
        [row] = await self._engine.get_by_key(sql.API_KEY, key_id, bytes(32))
        # decoded either way: an unknown id must take as long as a known one
        key = _api_key(row)
        return key if key.tenant_id else None

    async def of_tenant(self, tenant_id: str) -> list[ApiKey]:
        return [_api_key(row) for row in await self._engine.read(sql.API_KEYS, tenant_id)]

    async def revoke(self, key_id: str, at: Micros) -> bool:
        key = await self.get(key_id)
        if key is None:
            return False

        async def job(transaction: Transaction) -> bool:
            return bool(await transaction.run(sql.REVOKE_API_KEY, key_id, at))

        return await write_audited(
            self._engine, job, at, bool, tenant_id=key.tenant_id, key_id=key_id
        )


def _api_key(row: Row) -> ApiKey:
    return ApiKey(
        row["key_id"],
        row["tenant_id"],
        row["name"],
        scopes(row["scopes"]),
        row["ring_key_id"],
        bytes(row["verifier"]),
        row["created_at"],
        row["revoked_at"],
    )
