"""Decoding: explains why a message cannot be decoded."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from service.domain.errors import InvalidRequest

LENGTH_DELIMITED = 2


def undecodable(encoded: bytes, kind: Descriptor) -> InvalidRequest:
    """Return the error for *encoded*, which is not a valid *kind*. It names the first field that is
    not UTF-8, if there is one."""
    path = _not_utf8(encoded, kind)
    return (
        InvalidRequest(path, "is not valid UTF-8")
        if path
        else InvalidRequest("", "cannot be decoded")
    )


def _not_utf8(encoded: bytes, kind: Descriptor) -> str:
    # to Empty every field is unknown, and unknown fields are preserved as raw bytes
    reader = Empty()
    try:
        reader.MergeFromString(encoded)
    except DecodeError:
        return ""
    sent_fields: Any = UnknownFieldSet(reader)
    for sent in sent_fields:
        field = kind.fields_by_number.get(sent.field_number)
        if field is None or sent.wire_type != LENGTH_DELIMITED:
            continue
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(sent.data):
            return str(field.name)
        if field.message_type and (path := _not_utf8(sent.data, field.message_type)):
            return f"{field.name}.{path}"
    return ""


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
