"""Events, numbered by tenant and written in the transaction of the change itself."""

from collections.abc import Callable, Sequence

from service.domain.model import (
    Connection,
    ConnectionEvent,
    EventKind,
    Micros,
)
from service.domain.records import EventsKept
from service.storage import decoding
from service.storage.engine import Engine, Row, Statement, Transaction
from service.storage.statements import events as sql

BATCH = 500
"""Rows that one transaction of a clean-up changes, so that callers need not wait for it."""


async def add_event(
    transaction: Transaction,
    tenant_id: str,
    profile_key: str,
    kind: EventKind,
    connection: Connection | None = None,
    at: Micros | None = None,
    *more: Statement,
) -> None:
    """Add an event, and run *more*, which concerns other tables, together with it.

    Of a deleted profile, neither connection nor time is stored.
    """
    [counter] = await transaction.run(sql.NEXT_EVENT, tenant_id)
    written = None if connection is None else decoding.connection_to_json(connection)
    numbered = (tenant_id, counter["last_event"], kind.value, profile_key, written, at)
    await transaction.run_together((sql.ADD_EVENT, *numbered), *more)


class SqlEvents:
    """The port `EventStore`.

    The row of a tenant's counter is locked until the event is committed, so no number is visible
    before all lower ones.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def kept(self, tenant_id: str) -> EventsKept | None:
        rows = await self._engine.read(sql.EVENTS_KEPT, tenant_id)
        return EventsKept(rows[0]["last_pruned"], rows[0]["last_event"]) if rows else None

    async def page(self, tenant_id: str, after: int, limit: int) -> list[ConnectionEvent]:
        return [
            event_in(row) for row in await self._engine.read(sql.EVENTS, tenant_id, after, limit)
        ]

    async def latest(self, tenant_ids: Sequence[str]) -> dict[str, int]:
        found = {}
        for start in range(0, len(tenant_ids), sql.TENANTS_AT_ONCE):
            some = tenant_ids[start : start + sql.TENANTS_AT_ONCE]
            padding = [""] * (sql.TENANTS_AT_ONCE - len(some))
            for row in await self._engine.read(sql.LATEST_EVENTS, *some, *padding):
                found[row["tenant_id"]] = row["last_event"]
        return found

    async def mark(self, at: Micros) -> None:
        last = ""

        async def job(transaction: Transaction) -> Sequence[Row]:
            return await transaction.run(sql.MARK_EVENTS, last, BATCH, at)

        while marked := await self._engine.write(job):
            last = max(row["tenant_id"] for row in marked)

    async def prune(self, marked_by: Micros) -> bool:
        marks = await self._engine.read(sql.MARKS, marked_by, sql.TENANTS_AT_ONCE)
        for mark in marks:
            await self._prune(mark["tenant_id"], mark["number"])
        return bool(marks)

    def on_commit(self, call: Callable[[], None]) -> None:
        self._engine.on_commit(call)

    async def _prune(self, tenant_id: str, number: int) -> None:
        async def job(transaction: Transaction) -> None:
            pruned = await transaction.run(sql.PRUNE_EVENTS, tenant_id, number, BATCH)
            if len(pruned) < BATCH:
                await transaction.run(sql.DELETE_MARKS, tenant_id, number)

        await self._engine.write(job)


def event_in(row: Row) -> ConnectionEvent:
    """Return the event of a row of `EVENTS`."""
    written = row["connection"]
    connection = None if written is None else decoding.connection_from_json(written)
    kind = decoding.event_kind(row["kind"], connection)
    return ConnectionEvent(row["number"], kind, row["profile_key"], connection, row["occurred_at"])
