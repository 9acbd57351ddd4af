"""Conversion: messages from and to the words of the model."""

from google.protobuf.timestamp_pb2 import Timestamp

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as profiles_pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from service.model import (
    SECOND,
    Connection,
    ConnectionEvent,
    Credentials,
    Lease,
    Micros,
    PlatformCard,
    Profile,
)


def credentials(message: profiles_pb.Credentials) -> Credentials:
    """What was sent, by JSON name."""
    return Credentials({field.json_name: value for field, value in message.ListFields()})


def profile(kept: Profile) -> profile_pb2.Profile:
    return profile_pb2.Profile(
        profile_key=kept.profile_key,
        profile_name=kept.profile_name,
        created_at=timestamp(kept.created_at),
        connected_platforms=[connection(one) for one in kept.connections],
    )


def connection(kept: Connection) -> profile_pb2.Connection:
    reason = kept.reconnect_reason
    return profile_pb2.Connection(
        platform=kept.platform,
        display_name=kept.display_name,
        username=kept.username,
        connected_at=timestamp(kept.connected_at),
        needs_reconnect=kept.needs_reconnect,
        state=f"CONNECTION_STATE_{kept.state}",
        reconnect_reason=None if reason is None else f"RECONNECT_REASON_{reason}",
        account_id=kept.account_id,
        last_verified_at=timestamp(kept.last_verified_at),
        next_check_at=None if kept.next_check_at is None else timestamp(kept.next_check_at),
    )


def lease(lent: Lease) -> sessions_pb.LeaseSessionResponse:
    return sessions_pb.LeaseSessionResponse(
        access_token=lent.access_token,
        account_id=lent.account.account_id,
        service_endpoint=lent.account.origin,
        expires_at=timestamp(lent.expires_at),
        username=lent.account.username,
    )


def event(kept: ConnectionEvent) -> profile_pb2.ConnectionEvent:
    return profile_pb2.ConnectionEvent(
        kind=f"KIND_{kept.kind}",
        profile_key=kept.profile_key,
        connection=None if kept.connection is None else connection(kept.connection),
        occurred_at=None if kept.occurred_at is None else timestamp(kept.occurred_at),
    )


def timestamp(at: Micros) -> Timestamp:
    seconds, micros = divmod(at, SECOND)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


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
            )
            for field in card.fields
        ],
        help_url=card.help_url,
        instructions=card.instructions,
    )
