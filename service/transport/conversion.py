"""Conversion between the contract's messages and the domain model.

Functions with a *message* parameter write into it: a message built separately would be copied into
the message that contains it.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as profiles_pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from service.domain.model import (
    SECOND,
    AuthMethod,
    Connection,
    ConnectionEvent,
    ConnectionState,
    Credentials,
    EventKind,
    Lease,
    Micros,
    PlatformCard,
    Profile,
    ReconnectReason,
)

STATES: Mapping[ConnectionState, Any] = {
    state: profile_pb2.ConnectionState.Value(f"CONNECTION_STATE_{state}")
    for state in ConnectionState
}
REASONS: Mapping[ReconnectReason, Any] = {
    reason: profile_pb2.ReconnectReason.Value(f"RECONNECT_REASON_{reason}")
    for reason in ReconnectReason
}
KINDS: Mapping[EventKind, Any] = {
    kind: profile_pb2.ConnectionEvent.Kind.Value(f"KIND_{kind}") for kind in EventKind
}


def credentials(message: profiles_pb.Credentials) -> Credentials:
    """Return the fields that were set, by JSON name."""
    return Credentials({field.json_name: value for field, value in message.ListFields()})


def profile(source: Profile, message: profile_pb2.Profile) -> None:
    message.profile_key = source.profile_key
    if source.profile_name is not None:
        message.profile_name = source.profile_name
    timestamp(source.created_at, message.created_at)
    for each in source.connections:
        connection(each, message.connected_platforms.add())


def connection(source: Connection, message: profile_pb2.Connection) -> None:
    message.platform = source.platform
    message.display_name = source.display_name
    message.username = source.username
    timestamp(source.connected_at, message.connected_at)
    message.needs_reconnect = source.needs_reconnect
    message.state = STATES[source.state]
    if source.reconnect_reason is not None:
        message.reconnect_reason = REASONS[source.reconnect_reason]
    message.account_id = source.account_id
    timestamp(source.last_verified_at, message.last_verified_at)
    if source.next_check_at is not None:
        timestamp(source.next_check_at, message.next_check_at)


def timestamp(at: Micros, message: Timestamp) -> None:
    message.seconds, micros = divmod(at, SECOND)
    message.nanos = micros * 1000


def lease(lent: Lease) -> sessions_pb.LeaseSessionResponse:
    message = sessions_pb.LeaseSessionResponse(
        access_token=lent.access_token,
        account_id=lent.account.account_id,
        service_endpoint=lent.endpoint,
        username=lent.account.username,
        authorization=lent.authorization,
        lent=f"LENT_{lent.lent}",
    )
    if lent.expires_at is not None:
        timestamp(lent.expires_at, message.expires_at)
    return message


def event(source: ConnectionEvent, message: profile_pb2.ConnectionEvent) -> None:
    message.kind = KINDS[source.kind]
    message.profile_key = source.profile_key
    if source.connection is not None:
        connection(source.connection, message.connection)
    if source.occurred_at is not None:
        timestamp(source.occurred_at, message.occurred_at)


def platform(card: PlatformCard) -> platforms_pb.Platform:
    return platforms_pb.Platform(
        id=card.platform,
        display_name=card.display_name,
        auth_method=f"AUTH_METHOD_{card.auth_method}",
        fields=[
            platforms_pb.CredentialField(
                name=field.name,
                label=field.label,
                placeholder=field.placeholder,
                pattern=field.pattern,
                secret=field.secret,
                help=field.help,
                kind=f"KIND_{field.kind}",
            )
            for field in card.fields
        ],
        help_url=card.help_url,
        instructions=card.instructions,
        lends=None if card.auth_method is AuthMethod.OAUTH else f"LENT_{card.lends}",
    )
