"""JSON form: converts messages from and to JSON by protobuf's mapping.

In a request, unknown fields are ignored and null counts as unset. A reply has every field: false,
zero and empty values as they are, unset ones as null.
"""

import json
from typing import Any, NoReturn

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from service.domain.errors import InvalidRequest

KINDS = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BOOL: "true or false",
    FieldDescriptor.TYPE_INT32: "a whole number of at most 32 bits",
    FieldDescriptor.TYPE_MESSAGE: "an object",
}
TIMESTAMP = "google.protobuf.Timestamp"
"""A message in protobuf, and a string in JSON."""
BYTE_ORDER_MARK = "\ufeff"


class _Twice(ValueError):
    """An object that names *key* twice."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


def read(body: bytes, kind: Descriptor) -> Message:
    """Decode *body* as a message of *kind*. Raise InvalidRequest."""
    return message(_parsed(body, kind), kind)


def message(given: dict[str, Any], kind: Descriptor) -> Message:
    """Return a message of *kind* with the fields of *given*. Raise InvalidRequest."""
    _check_objects(given, kind)
    try:
        return ParseDict(given, GetMessageClass(kind)(), ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, RecursionError):
        # from None: the library's message quotes the request
        raise _fault(given, kind) from None


def encoded(reply: Message) -> dict[str, Any]:
    """Return *reply* with every field, in the contract's order."""
    return _whole(MessageToDict(reply, always_print_fields_with_no_presence=True), reply.DESCRIPTOR)


def _parsed(body: bytes, kind: Descriptor) -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("", "is not valid UTF-8") from None
    if text.startswith(BYTE_ORDER_MARK):
        raise InvalidRequest("", "must not begin with a byte order mark")
    try:
        given = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except _Twice as twice:
        path = _path_of(twice.key, kind)
        raise InvalidRequest(path, "is named twice" if path else "names a field twice") from None
    except (ValueError, RecursionError):
        raise InvalidRequest("", "is not valid JSON") from None
    if not isinstance(given, dict):
        raise InvalidRequest("", "must be a JSON object")
    return given


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found


def _no_number(_: str) -> NoReturn:
    # NaN and Infinity, which Python's parser accepts although they are not JSON
    raise ValueError


def _path_of(key: str, kind: Descriptor) -> str:
    """Return the path of the first field in *kind* that is called *key*; empty if there is none."""
    for field in kind.fields:
        if key in (field.json_name, field.name):
            return str(field.name)
        if field.message_type and (path := _path_of(key, field.message_type)):
            return f"{field.name}.{path}"
    return ""


def _check_objects(given: dict[str, Any], kind: Descriptor) -> None:
    # The library accepts a string or a list as an object without known fields. It also accepts a
    # field in both spellings, and the second wins.
    for field in kind.fields:
        if field.name != field.json_name and field.name in given and field.json_name in given:
            raise InvalidRequest(field.name, "is named twice")
        value = given.get(field.json_name, given.get(field.name))
        of_object = _of_object(field)
        if value is None or of_object is None:
            continue
        if not isinstance(value, dict):
            raise _fault_of(field, value)
        try:
            _check_objects(value, of_object)
        except InvalidRequest as error:
            raise _within(field, error) from None


def _of_object(field: FieldDescriptor) -> Descriptor | None:
    """Return the kind of *field* if its value is a JSON object."""
    kind = field.message_type
    if kind is None or kind.full_name == TIMESTAMP or field.is_repeated:
        return None
    return kind


def _within(field: FieldDescriptor, error: InvalidRequest) -> InvalidRequest:
    [inner] = error.fields
    return InvalidRequest(f"{field.name}.{inner.path}" if inner.path else field.name, inner.fault)


def _fault(given: dict[str, Any], kind: Descriptor) -> InvalidRequest:
    """Return the error of *given*. Parse its fields one by one to find it."""
    for field in kind.fields:
        for name in {field.json_name, field.name} & given.keys():
            if not _fits(kind, field, given[name]):
                return _fault_of(field, given[name])
    return InvalidRequest("", "does not fit the contract")


def _fits(kind: Descriptor, field: FieldDescriptor, value: Any) -> bool:
    try:
        ParseDict(
            {field.json_name: value},
            GetMessageClass(kind)(),
            ignore_unknown_fields=True,
        )
    except (ParseError, ValueError, TypeError, RecursionError):
        return False
    return True


def _fault_of(field: FieldDescriptor, value: Any) -> InvalidRequest:
    if field.is_repeated:
        return InvalidRequest(field.name, f"must be a list, each {KINDS[field.type]}")
    if field.message_type and _of_object(field) is None:
        return InvalidRequest(field.name, "must be a time, such as 2026-01-02T03:04:05Z")
    if field.message_type and isinstance(value, dict):
        return _within(field, _fault(value, field.message_type))
    if field.type == FieldDescriptor.TYPE_STRING and isinstance(value, str):
        return InvalidRequest(field.name, "is not valid UTF-8")  # a lone surrogate
    return InvalidRequest(field.name, f"must be {KINDS[field.type]}")


def _whole(found: dict[str, Any], kind: Any) -> dict[str, Any]:
    return {
        field.json_name: _whole_value(found.get(field.json_name), field) for field in kind.fields
    }


def _whole_value(value: Any, field: FieldDescriptor) -> Any:
    # a timestamp is a message in protobuf and a string in JSON
    if not field.message_type or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [_whole(one, field.message_type) for one in value]
    return _whole(value, field.message_type)
