"""The queue of checks: connections of all tenants, by the time when their check is due."""

from service.domain.model import Micros
from service.domain.records import Due
from service.storage.engine import Engine, Transaction
from service.storage.statements import checks as sql


class SqlCheckQueue:
    """The port `CheckQueue`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def next_due(self) -> Micros | None:
        [row] = await self._engine.read(sql.NEXT_DUE)
        at: Micros | None = row["at"]
        return at

    async def pick_due(self, at: Micros, again_at: Micros, limit: int, after: str) -> list[Due]:
        async def job(transaction: Transaction) -> list[Due]:
            tenants = await transaction.run(sql.TENANTS_WITH_DUE, after, at, limit)
            if len(tenants) < limit:
                # wrap around to the first tenant
                known = {row["tenant_id"] for row in tenants}
                more = await transaction.run(sql.TENANTS_WITH_DUE, "", at, limit - len(tenants))
                tenants = [*tenants, *(row for row in more if row["tenant_id"] not in known)]
            picked: list[Due] = []
            for turn, row in enumerate(tenants):
                share = -(-(limit - len(picked)) // (len(tenants) - turn))
                picked += [
                    Due(**one)
                    for one in await transaction.run(sql.DUE, row["tenant_id"], at, share)
                ]
            # one by one, by key, so that no query plan scans everything that is due
            for due in picked:
                await transaction.run(sql.PUT_OFF, *_of(due), again_at)
            return picked

        return await self._engine.write(job)

    async def bring_forward(self, at: Micros, latest: Micros) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.BRING_FORWARD, at, latest)

        await self._engine.write(job)

    async def put_off(self, due: Due, until: Micros) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.PUT_OFF, *_of(due), until)

        await self._engine.write(job)


def _of(due: Due) -> tuple[str, str, str]:
    return due.tenant_id, due.profile_key, due.platform
