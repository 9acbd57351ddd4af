import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConnectionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONNECTION_STATE_UNSPECIFIED: _ClassVar[ConnectionState]
    CONNECTION_STATE_HEALTHY: _ClassVar[ConnectionState]
    CONNECTION_STATE_UNVERIFIED: _ClassVar[ConnectionState]
    CONNECTION_STATE_BROKEN: _ClassVar[ConnectionState]

class ReconnectReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECONNECT_REASON_UNSPECIFIED: _ClassVar[ReconnectReason]
    RECONNECT_REASON_APP_PASSWORD_REVOKED: _ClassVar[ReconnectReason]
    RECONNECT_REASON_ACCOUNT_TAKEN_DOWN: _ClassVar[ReconnectReason]
    RECONNECT_REASON_ACCOUNT_SUSPENDED: _ClassVar[ReconnectReason]
    RECONNECT_REASON_ACCOUNT_DEACTIVATED: _ClassVar[ReconnectReason]
    RECONNECT_REASON_ACCOUNT_DELETED: _ClassVar[ReconnectReason]
    RECONNECT_REASON_SERVER_MOVED: _ClassVar[ReconnectReason]
    RECONNECT_REASON_CREDENTIAL_UNREADABLE: _ClassVar[ReconnectReason]
    RECONNECT_REASON_CREDENTIALS_SWITCHED_OFF: _ClassVar[ReconnectReason]
    RECONNECT_REASON_PERMISSION_LOST: _ClassVar[ReconnectReason]
CONNECTION_STATE_UNSPECIFIED: ConnectionState
CONNECTION_STATE_HEALTHY: ConnectionState
CONNECTION_STATE_UNVERIFIED: ConnectionState
CONNECTION_STATE_BROKEN: ConnectionState
RECONNECT_REASON_UNSPECIFIED: ReconnectReason
RECONNECT_REASON_APP_PASSWORD_REVOKED: ReconnectReason
RECONNECT_REASON_ACCOUNT_TAKEN_DOWN: ReconnectReason
RECONNECT_REASON_ACCOUNT_SUSPENDED: ReconnectReason
RECONNECT_REASON_ACCOUNT_DEACTIVATED: ReconnectReason
RECONNECT_REASON_ACCOUNT_DELETED: ReconnectReason
RECONNECT_REASON_SERVER_MOVED: ReconnectReason
RECONNECT_REASON_CREDENTIAL_UNREADABLE: ReconnectReason
RECONNECT_REASON_CREDENTIALS_SWITCHED_OFF: ReconnectReason
RECONNECT_REASON_PERMISSION_LOST: ReconnectReason

class Profile(_message.Message):
    __slots__ = ("profile_key", "profile_name", "created_at", "connected_platforms")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PROFILE_NAME_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_PLATFORMS_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    profile_name: str
    created_at: _timestamp_pb2.Timestamp
    connected_platforms: _containers.RepeatedCompositeFieldContainer[Connection]
    def __init__(self, profile_key: _Optional[str] = ..., profile_name: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., connected_platforms: _Optional[_Iterable[_Union[Connection, _Mapping]]] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ("platform", "display_name", "username", "connected_at", "expires_at", "days_until_expiry", "needs_reconnect", "state", "reconnect_reason", "account_id", "last_verified_at", "next_check_at")
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    DAYS_UNTIL_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    NEEDS_RECONNECT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_REASON_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_VERIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    NEXT_CHECK_AT_FIELD_NUMBER: _ClassVar[int]
    platform: str
    display_name: str
    username: str
    connected_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    days_until_expiry: int
    needs_reconnect: bool
    state: ConnectionState
    reconnect_reason: ReconnectReason
    account_id: str
    last_verified_at: _timestamp_pb2.Timestamp
    next_check_at: _timestamp_pb2.Timestamp
    def __init__(self, platform: _Optional[str] = ..., display_name: _Optional[str] = ..., username: _Optional[str] = ..., connected_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., days_until_expiry: _Optional[int] = ..., needs_reconnect: _Optional[bool] = ..., state: _Optional[_Union[ConnectionState, str]] = ..., reconnect_reason: _Optional[_Union[ReconnectReason, str]] = ..., account_id: _Optional[str] = ..., last_verified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_check_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ConnectionEvent(_message.Message):
    __slots__ = ("kind", "profile_key", "connection", "occurred_at")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ConnectionEvent.Kind]
        KIND_CONNECTED: _ClassVar[ConnectionEvent.Kind]
        KIND_RECONNECTED: _ClassVar[ConnectionEvent.Kind]
        KIND_HEALTHY: _ClassVar[ConnectionEvent.Kind]
        KIND_UNVERIFIED: _ClassVar[ConnectionEvent.Kind]
        KIND_BROKEN: _ClassVar[ConnectionEvent.Kind]
        KIND_RECOVERED: _ClassVar[ConnectionEvent.Kind]
        KIND_HANDLE_CHANGED: _ClassVar[ConnectionEvent.Kind]
        KIND_DISCONNECTED: _ClassVar[ConnectionEvent.Kind]
    KIND_UNSPECIFIED: ConnectionEvent.Kind
    KIND_CONNECTED: ConnectionEvent.Kind
    KIND_RECONNECTED: ConnectionEvent.Kind
    KIND_HEALTHY: ConnectionEvent.Kind
    KIND_UNVERIFIED: ConnectionEvent.Kind
    KIND_BROKEN: ConnectionEvent.Kind
    KIND_RECOVERED: ConnectionEvent.Kind
    KIND_HANDLE_CHANGED: ConnectionEvent.Kind
    KIND_DISCONNECTED: ConnectionEvent.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    kind: ConnectionEvent.Kind
    profile_key: str
    connection: Connection
    occurred_at: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[ConnectionEvent.Kind, str]] = ..., profile_key: _Optional[str] = ..., connection: _Optional[_Union[Connection, _Mapping]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
