"""The audit trail."""

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import TypeVar

from service.domain import audit
from service.domain.audit import AuditRow
from service.domain.model import Micros
from service.storage.engine import Engine, Row, Transaction
from service.storage.statements import audit as sql

T = TypeVar("T")
AT_ONCE = 50
"""Rows per statement."""


class SqlAudit:
    """The port `AuditStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, rows: Sequence[AuditRow]) -> None:
        async def job(transaction: Transaction) -> None:
            for start in range(0, len(rows), AT_ONCE):
                some = rows[start : start + AT_ONCE]
                values = [value for row in some for value in row[:-1]]
                await transaction.run(sql.add_rows(len(some)), *values)

        await self._engine.write(job)

    async def page(
        self, tenant_id: str | None, since: Micros, after: int, until: Micros, limit: int
    ) -> list[AuditRow]:
        if tenant_id is None:
            rows = await self._engine.read(sql.AUDIT, since, after, until, limit)
        else:
            statement = sql.AUDIT_OF_TENANT
            rows = await self._engine.read(statement, since, after, until, limit, tenant_id)
        return [_row(row) for row in rows]

    async def written_after(self, number: int, limit: int) -> list[AuditRow]:
        rows = await self._engine.read_settled("audit", sql.AUDIT_AFTER, number, limit)
        return [_row(row) for row in rows]

    async def delete(self, before: Micros, limit: int) -> int:
        async def job(transaction: Transaction) -> int:
            return len(await transaction.run(sql.DELETE_AUDIT, before, limit))

        return await self._engine.write(job)


async def write_audited(
    engine: Engine,
    job: Callable[[Transaction], Awaitable[T]],
    at: Micros,
    is_change: Callable[[T], bool] = lambda _: True,
    *,
    turn: str = "",
    **change: str,
) -> T:
    """Run *job*, and add the row of the current call to its transaction.

    Without an audited call, for the second transaction of one, and where the result shows that
    nothing has changed, adds no row. *turn*: as of `Engine.write`. *change*: what was changed, as
    `AuditedCall.row` takes it.
    """
    call = audit.current()
    if call is None or call.is_recorded:
        return await engine.write(job, turn)
    row = call.row(at, **change)  # type: ignore[arg-type]

    @wraps(job)
    async def with_row(transaction: Transaction) -> T:
        result = await job(transaction)
        if is_change(result):
            await transaction.run(sql.ADD_ROW, *row[:-1])
        return result

    result = await engine.write(with_row, turn)
    call.is_recorded = is_change(result)
    return result


def _row(row: Row) -> AuditRow:
    return AuditRow(*(row[name] for name in AuditRow._fields))
