"""Events: what happened to connections, numbered by tenant, written with the change itself."""

import json
from dataclasses import asdict

from service.model import Connection, EventKind, Micros
from service.storage import statements as sql
from service.storage.engine import Transaction


async def add_event(
    transaction: Transaction,
    tenant_id: str,
    profile_key: str,
    kind: EventKind,
    connection: Connection | None = None,
    at: Micros | None = None,
) -> None:
    """Write down what happened; of a profile that is deleted, no more than that it did."""
    [counter] = await transaction.run(sql.NEXT_EVENT, tenant_id)
    written = None if connection is None else json.dumps(asdict(connection))
    await transaction.run(
        sql.ADD_EVENT, tenant_id, counter["last_event"], kind.value, profile_key, written, at
    )
