"""Map rows of queries to values of the model."""

from collections.abc import Sequence
from typing import Any

from service.domain.model import Connection, Profile
from service.domain.records import (
    Envelope,
    SecretAddress,
    SessionEnvelope,
    StoredConnection,
    Upkeep,
)
from service.storage.decoding import connection_state, reconnect_reason
from service.storage.engine import Row

IN_CONNECTION = len(Connection._fields)
IN_UPKEEP = len(Upkeep._fields)
RENAMED = {"answered_logins": "refusals"}
"""Columns whose name differs from their field's, by field."""
# the columns of both, in the order of the fields
CONNECTION = ", ".join(f"c.{name}" for name in Connection._fields)
SAVED_CONNECTION = ", ".join(Connection._fields)
UPKEEP = ", ".join(f"c.{RENAMED.get(name, name)}" for name in Upkeep._fields)


def profiles_in(rows: Sequence[Row]) -> list[Profile]:
    """Return the profiles of rows with at most one connection each, grouped by profile."""
    found: list[Profile] = []
    for row in rows:
        *of_connection, profile_key, profile_name, created_at = row
        connections: tuple[Connection, ...] = ()
        if of_connection[0] is not None:
            connections = (connection_in(of_connection),)
        if found and found[-1].profile_key == profile_key:
            connections = found.pop().connections + connections
        found.append(Profile(profile_key, profile_name, created_at, connections))
    return found


def connection_in(columns: Sequence[Any]) -> Connection:
    """Return the connection of *columns*, which are in the order of its fields."""
    platform, account_id, username, display_name, state, reason, *times = columns
    return Connection(
        platform,
        account_id,
        username,
        display_name,
        connection_state(state),
        reconnect_reason(reason),
        *times,
    )


def stored_session(tenant_id: str, row: Row) -> SessionEnvelope:
    """Return a sealed session with its address."""
    address = SecretAddress(
        tenant_id,
        row["profile_key"],
        row["platform"],
        row["account_id"],
        row["origin"],
        row["generation"],
    )
    sealed = _sealed(address, row["sealed_generation"], row["ring_key_id"], row["envelope"])
    return SessionEnvelope(address, sealed)


def stored_connection(tenant_id: str, row: Row) -> StoredConnection:
    """Return a connection with its sealed secrets."""
    connection = connection_in(row[:IN_CONNECTION])
    upkeep = Upkeep(*row[IN_CONNECTION : IN_CONNECTION + IN_UPKEEP])
    profile_key, origin, generation, *sealed, refreshed_at, fence = row[IN_CONNECTION + IN_UPKEEP :]
    address = SecretAddress(
        tenant_id, profile_key, connection.platform, connection.account_id, origin, generation
    )
    credential, session = _sealed(address, *sealed[:3]), _sealed(address, *sealed[3:])
    return StoredConnection(address, connection, credential, session, refreshed_at, fence, upkeep)


def _sealed(address: SecretAddress, generation: int, ring_key_id: str, envelope: bytes) -> Envelope:
    """Return a secret of the connection; one of another generation becomes unreadable."""
    return Envelope(ring_key_id, bytes(envelope) if generation == address.generation else b"")
