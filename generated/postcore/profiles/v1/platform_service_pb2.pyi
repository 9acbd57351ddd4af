from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTH_METHOD_UNSPECIFIED: _ClassVar[AuthMethod]
    AUTH_METHOD_CREDENTIALS: _ClassVar[AuthMethod]
    AUTH_METHOD_OAUTH: _ClassVar[AuthMethod]

class Lent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LENT_UNSPECIFIED: _ClassVar[Lent]
    LENT_SESSION: _ClassVar[Lent]
    LENT_CREDENTIAL: _ClassVar[Lent]
AUTH_METHOD_UNSPECIFIED: AuthMethod
AUTH_METHOD_CREDENTIALS: AuthMethod
AUTH_METHOD_OAUTH: AuthMethod
LENT_UNSPECIFIED: Lent
LENT_SESSION: Lent
LENT_CREDENTIAL: Lent

class ListPlatformsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPlatformsResponse(_message.Message):
    __slots__ = ("platforms",)
    PLATFORMS_FIELD_NUMBER: _ClassVar[int]
    platforms: _containers.RepeatedCompositeFieldContainer[Platform]
    def __init__(self, platforms: _Optional[_Iterable[_Union[Platform, _Mapping]]] = ...) -> None: ...

class Platform(_message.Message):
    __slots__ = ("id", "display_name", "auth_method", "fields", "help_url", "instructions", "lends")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTH_METHOD_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    HELP_URL_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    LENDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    auth_method: AuthMethod
    fields: _containers.RepeatedCompositeFieldContainer[CredentialField]
    help_url: str
    instructions: _containers.RepeatedScalarFieldContainer[str]
    lends: Lent
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ..., auth_method: _Optional[_Union[AuthMethod, str]] = ..., fields: _Optional[_Iterable[_Union[CredentialField, _Mapping]]] = ..., help_url: _Optional[str] = ..., instructions: _Optional[_Iterable[str]] = ..., lends: _Optional[_Union[Lent, str]] = ...) -> None: ...

class CredentialField(_message.Message):
    __slots__ = ("name", "label", "placeholder", "pattern", "secret", "help", "kind")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[CredentialField.Kind]
        KIND_TEXT: _ClassVar[CredentialField.Kind]
        KIND_HANDLE: _ClassVar[CredentialField.Kind]
        KIND_URL: _ClassVar[CredentialField.Kind]
        KIND_USERNAME: _ClassVar[CredentialField.Kind]
        KIND_SECRET: _ClassVar[CredentialField.Kind]
    KIND_UNSPECIFIED: CredentialField.Kind
    KIND_TEXT: CredentialField.Kind
    KIND_HANDLE: CredentialField.Kind
    KIND_URL: CredentialField.Kind
    KIND_USERNAME: CredentialField.Kind
    KIND_SECRET: CredentialField.Kind
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PLACEHOLDER_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    placeholder: str
    pattern: str
    secret: bool
    help: str
    kind: CredentialField.Kind
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., placeholder: _Optional[str] = ..., pattern: _Optional[str] = ..., secret: _Optional[bool] = ..., help: _Optional[str] = ..., kind: _Optional[_Union[CredentialField.Kind, str]] = ...) -> None: ...
