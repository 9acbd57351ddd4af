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
    return StoredSession(_place(tenant_id, row), Sealed(row["ring_key_id"], bytes(row["envelope"])))


def stored_connection(tenant_id: str, row: Row) -> StoredConnection:
    """A connection with its sealed secrets."""
    return StoredConnection(
        _place(tenant_id, row),
        connection_in(row),
        Sealed(row["credential_key"], bytes(row["credential"])),
        Sealed(row["session_key"], bytes(row["session"])),
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


def _place(tenant_id: str, row: Row) -> SealContext:
    return SealContext(
        tenant_id,
        row["profile_key"],
        row["platform"],
        row["account_id"],
        row["origin"],
        row["generation"],
    )
