import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from postcore.profiles.v1 import platform_service_pb2 as _platform_service_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeaseSessionRequest(_message.Message):
    __slots__ = ("profile_key", "platform", "rejected_access_token")
    PROFILE_KEY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    REJECTED_ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    profile_key: str
    platform: str
    rejected_access_token: str
    def __init__(self, profile_key: _Optional[str] = ..., platform: _Optional[str] = ..., rejected_access_token: _Optional[str] = ...) -> None: ...

class LeaseSessionResponse(_message.Message):
    __slots__ = ("access_token", "account_id", "service_endpoint", "expires_at", "username", "authorization", "lent")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    LENT_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    account_id: str
    service_endpoint: str
    expires_at: _timestamp_pb2.Timestamp
    username: str
    authorization: str
    lent: _platform_service_pb2.Lent
    def __init__(self, access_token: _Optional[str] = ..., account_id: _Optional[str] = ..., service_endpoint: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., username: _Optional[str] = ..., authorization: _Optional[str] = ..., lent: _Optional[_Union[_platform_service_pb2.Lent, str]] = ...) -> None: ...
