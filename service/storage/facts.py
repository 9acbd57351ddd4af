"""Facts about the whole store."""

from service.storage.engine import Engine, Transaction
from service.storage.statements import facts as sql


class SqlFacts:
    """The port `FactStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, name: str) -> str | None:
        rows = await self._engine.read(sql.REMEMBERED, name)
        return rows[0]["value"] if rows else None

    async def put_once(self, name: str, value: str) -> str:
        async def job(transaction: Transaction) -> str:
            await transaction.run(sql.REMEMBER, name, value)
            rows = await transaction.run(sql.REMEMBERED, name)
            return str(rows[0]["value"])

        return await self._engine.write(job)

    async def replace(self, name: str, old: str, new: str) -> bool:
        async def job(transaction: Transaction) -> bool:
            return bool(await transaction.run(sql.REVISE, name, old, new))

        return await self._engine.write(job)
