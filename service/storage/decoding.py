"""Decode stored values that another version of this service may have written.

During an upgrade older and newer nodes share one database, and events are kept for days. So a
reader ignores fields that it does not know, and takes the default of a field that is missing: a
field added to `Connection` needs a default, and none may be renamed or get another type. Lists
(replies, sessions) only ever grow at their end.

A newer version may also write an enum value that this one does not know. It is replaced by a known
value, as the contract asks callers to treat values that they do not know.
"""

import json

from service.domain.model import (
    Connection,
    ConnectionState,
    EventKind,
    ReconnectReason,
    Scope,
)
from service.domain.records import LoginPurpose

_STATES = ConnectionState.__members__
_REASONS = ReconnectReason.__members__
_KINDS = EventKind.__members__
_SCOPES = {scope.value: scope for scope in Scope}
_PURPOSES = {purpose.value: purpose for purpose in LoginPurpose}


def connection_to_json(connection: Connection) -> str:
    return json.dumps(connection._asdict())


def connection_from_json(text: str) -> Connection:
    written = json.loads(text)
    written["state"] = connection_state(written["state"])
    written["reconnect_reason"] = reconnect_reason(written["reconnect_reason"])
    return Connection(**{name: written[name] for name in Connection._fields if name in written})


def reply_from_json(text: str) -> tuple[str | None, ...]:
    """Return the reply to an idempotent request; a newer version may have added elements."""
    return tuple(json.loads(text))


def connection_state(written: str) -> ConnectionState:
    """Return the state, UNVERIFIED if it is unknown."""
    return _STATES.get(written, ConnectionState.UNVERIFIED)


def reconnect_reason(written: str | None) -> ReconnectReason | None:
    """Return the reason; for an unknown one, the one that asks for nothing but a reconnect."""
    if written is None:
        return None
    return _REASONS.get(written, ReconnectReason.CREDENTIAL_UNREADABLE)


def event_kind(written: str, connection: Connection | None) -> EventKind:
    """Return the kind; for an unknown one, the kind that fits the connection as the event shows it.

    Events are never skipped: a cursor does not pass an event that was not reported.
    """
    if kind := _KINDS.get(written):
        return kind
    # without a connection, the profile was deleted
    return EventKind.DISCONNECTED if connection is None else EventKind(connection.state.value)


def scopes(written: str) -> frozenset[Scope]:
    """Return the known ones of the scopes, which are separated by spaces."""
    return frozenset(_SCOPES[name] for name in written.split() if name in _SCOPES)


def login_purpose(written: str) -> LoginPurpose:
    """Return the purpose; an unknown one counts against no part reserved for connects."""
    return _PURPOSES.get(written, LoginPurpose.UPKEEP)
