"""Rows: what a query's rows are in the words of the model."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from service.model import Connection, ConnectionState, Profile, ReconnectReason
from service.records import SealContext, Sealed, StoredConnection, StoredSession, Upkeep
from service.storage.engine import Row


def profiles_in(rows: Sequence[Row]) -> list[Profile]:
    """The profiles of rows that hold one connection each (or none), those of a profile together."""
    found = []
    for profile_key, of_profile in groupby(rows, itemgetter("profile_key")):
        group = list(of_profile)
        connections = tuple([connection_in(row) for row in group if row["platform"] is not None])
        first = group[0]
        found.append(Profile(profile_key, first["profile_name"], first["created_at"], connections))
    return found


def connection_in(row: Row) -> Connection:
    """The connection of a row that holds one."""
    reason = row["reconnect_reason"]
    return Connection(
        row["platform"],
        row["account_id"],
        row["username"],
        row["display_name"],
        ConnectionState[row["state"]],
        None if reason is None else ReconnectReason[reason],
        row["connected_at"],
        row["last_verified_at"],
        row["next_check_at"],
    )


def stored_session(tenant_id: str, row: Row) -> StoredSession:
    """A sealed session with its place."""
    sealed = _sealed(row, row["sealed_generation"], row["ring_key_id"], row["envelope"])
    return StoredSession(_place(tenant_id, row), sealed)


def stored_connection(tenant_id: str, row: Row) -> StoredConnection:
    """A connection with its sealed secrets."""
    return StoredConnection(
        _place(tenant_id, row),
        connection_in(row),
        _sealed(row, row["credential_generation"], row["credential_key"], row["credential"]),
        _sealed(row, row["session_generation"], row["session_key"], row["session"]),
        row["refreshed_at"],
        row["fence"],
        Upkeep(
            row["checked_at"],
            row["document_at"],
            row["moved_at"],
            row["doubts"],
            row["refusals"],
            row["login_after"],
        ),
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
