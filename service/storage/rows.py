"""Rows: what a query's rows are in the words of the model."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from service.model import Connection, ConnectionState, Profile, ReconnectReason
from service.records import SealContext, Sealed, StoredConnection, StoredSession, Upkeep
from service.storage.engine import Row

IN_CONNECTION = len(Connection._fields)
IN_UPKEEP = len(fields(Upkeep))
# the columns that they are made of, by place
CONNECTION = ", ".join(f"c.{name}" for name in Connection._fields)
UPKEEP = ", ".join(f"c.{field.name}" for field in fields(Upkeep))
STATES = ConnectionState.__members__
REASONS = ReconnectReason.__members__


def profiles_in(rows: Sequence[Row]) -> list[Profile]:
    """The profiles of rows that hold one connection each (or none), those of a profile together."""
    found: list[Profile] = []
    for row in rows:
        *of_connection, profile_key, profile_name, created_at = row
        connections: tuple[Connection, ...] = ()
        if of_connection[0] is not None:
            connections = (_connection(of_connection),)
        if found and found[-1].profile_key == profile_key:
            connections = found.pop().connections + connections
        found.append(Profile(profile_key, profile_name, created_at, connections))
    return found


def _connection(columns: Sequence[Any]) -> Connection:
    """Of its columns, which are in the order of its fields."""
    platform, account_id, username, display_name, state, reason, *times = columns
    return Connection(
        platform,
        account_id,
        username,
        display_name,
        STATES[state],
        None if reason is None else REASONS[reason],
        *times,
    )


def stored_session(tenant_id: str, row: Row) -> StoredSession:
    """A sealed session with its place."""
    sealed = _sealed(row, row["sealed_generation"], row["ring_key_id"], row["envelope"])
    return StoredSession(_place(tenant_id, row), sealed)


def stored_connection(tenant_id: str, row: Row) -> StoredConnection:
    """A connection with its sealed secrets."""
    return StoredConnection(
        _place(tenant_id, row),
        _connection(row[:IN_CONNECTION]),
        _sealed(row, row["credential_generation"], row["credential_key"], row["credential"]),
        _sealed(row, row["session_generation"], row["session_key"], row["session"]),
        row["refreshed_at"],
        row["fence"],
        Upkeep(*row[IN_CONNECTION : IN_CONNECTION + IN_UPKEEP]),
    )


def _sealed(row: Row, generation: object, ring_key_id: str, envelope: bytes) -> Sealed:
    """A secret of the row's connection. One that says it is of another making opens nowhere."""
    return Sealed(ring_key_id, bytes(envelope) if generation == row["generation"] else b"")


def _place(tenant_id: str, row: Row) -> SealContext:
    return SealContext(
        tenant_id,
        row["profile_key"],
        row["platform"],
        row["account_id"],
        row["origin"],
        row["generation"],
    )
