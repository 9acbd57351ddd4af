import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from postcore.profiles.v1 import profile_pb2 as _profile_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConnectProfileRequest(_message.Message):
    __slots__ = ("profile_key", "platform", "credentials", "idempotency_key")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    platform: str
    credentials: Credentials
    idempotency_key: str
    def __init__(self, profile_key: _Optional[str] = ..., platform: _Optional[str] = ..., credentials: _Optional[_Union[Credentials, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class Credentials(_message.Message):
    __slots__ = ("handle", "app_password", "site", "username", "access_token", "api_key")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    APP_PASSWORD_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    handle: str
    app_password: str
    site: str
    username: str
    access_token: str
    api_key: str
    def __init__(self, handle: _Optional[str] = ..., app_password: _Optional[str] = ..., site: _Optional[str] = ..., username: _Optional[str] = ..., access_token: _Optional[str] = ..., api_key: _Optional[str] = ...) -> None: ...

class ConnectProfileResponse(_message.Message):
    __slots__ = ("profile_key", "platform", "username")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    platform: str
    username: str
    def __init__(self, profile_key: _Optional[str] = ..., platform: _Optional[str] = ..., username: _Optional[str] = ...) -> None: ...

class CreateConnectLinkRequest(_message.Message):
    __slots__ = ("profile_key", "platform", "app_name", "return_url", "state", "locale", "expires_in", "idempotency_key")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    RETURN_URL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    platform: str
    app_name: str
    return_url: str
    state: str
    locale: str
    expires_in: int
    idempotency_key: str
    def __init__(self, profile_key: _Optional[str] = ..., platform: _Optional[str] = ..., app_name: _Optional[str] = ..., return_url: _Optional[str] = ..., state: _Optional[str] = ..., locale: _Optional[str] = ..., expires_in: _Optional[int] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateConnectLinkResponse(_message.Message):
    __slots__ = ("url", "expires_at", "link_id")
    URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    LINK_ID_FIELD_NUMBER: _ClassVar[int]
    url: str
    expires_at: _timestamp_pb2.Timestamp
    link_id: str
    def __init__(self, url: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., link_id: _Optional[str] = ...) -> None: ...

class RevokeConnectLinkRequest(_message.Message):
    __slots__ = ("link_id",)
    LINK_ID_FIELD_NUMBER: _ClassVar[int]
    link_id: str
    def __init__(self, link_id: _Optional[str] = ...) -> None: ...

class RevokeConnectLinkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateProfileRequest(_message.Message):
    __slots__ = ("profile_name", "idempotency_key")
    PROFILE_NAME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    profile_name: str
    idempotency_key: str
    def __init__(self, profile_name: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateProfileResponse(_message.Message):
    __slots__ = ("profile_key", "profile_name")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PROFILE_NAME_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    profile_name: str
    def __init__(self, profile_key: _Optional[str] = ..., profile_name: _Optional[str] = ...) -> None: ...

class GetProfileRequest(_message.Message):
    __slots__ = ("profile_key",)
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    def __init__(self, profile_key: _Optional[str] = ...) -> None: ...

class GetProfileResponse(_message.Message):
    __slots__ = ("profile",)
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    profile: _profile_pb2.Profile
    def __init__(self, profile: _Optional[_Union[_profile_pb2.Profile, _Mapping]] = ...) -> None: ...

class ListProfilesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "needs_reconnect_only")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NEEDS_RECONNECT_ONLY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    needs_reconnect_only: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., needs_reconnect_only: _Optional[bool] = ...) -> None: ...

class ListProfilesResponse(_message.Message):
    __slots__ = ("profiles", "next_page_token")
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    profiles: _containers.RepeatedCompositeFieldContainer[_profile_pb2.Profile]
    next_page_token: str
    def __init__(self, profiles: _Optional[_Iterable[_Union[_profile_pb2.Profile, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteProfileRequest(_message.Message):
    __slots__ = ("profile_key",)
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    def __init__(self, profile_key: _Optional[str] = ...) -> None: ...

class DeleteProfileResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DisconnectPlatformRequest(_message.Message):
    __slots__ = ("profile_key", "platform")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    platform: str
    def __init__(self, profile_key: _Optional[str] = ..., platform: _Optional[str] = ...) -> None: ...

class DisconnectPlatformResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyConnectionRequest(_message.Message):
    __slots__ = ("profile_key", "platform")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    platform: str
    def __init__(self, profile_key: _Optional[str] = ..., platform: _Optional[str] = ...) -> None: ...

class VerifyConnectionResponse(_message.Message):
    __slots__ = ("connection",)
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    connection: _profile_pb2.Connection
    def __init__(self, connection: _Optional[_Union[_profile_pb2.Connection, _Mapping]] = ...) -> None: ...

class WatchConnectionsRequest(_message.Message):
    __slots__ = ("cursor", "from_oldest")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    FROM_OLDEST_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    from_oldest: bool
    def __init__(self, cursor: _Optional[str] = ..., from_oldest: _Optional[bool] = ...) -> None: ...

class WatchConnectionsResponse(_message.Message):
    __slots__ = ("events", "cursor")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_profile_pb2.ConnectionEvent]
    cursor: str
    def __init__(self, events: _Optional[_Iterable[_Union[_profile_pb2.ConnectionEvent, _Mapping]]] = ..., cursor: _Optional[str] = ...) -> None: ...
