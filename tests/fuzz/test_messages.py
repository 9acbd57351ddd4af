"""Messages: bytes, as JSON or as protobuf, are a message of the contract, or the error names the
fault."""

import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.errors import InvalidRequest
from service.transport.boundary import request_id
from service.transport.grpc.decoding import undecodable
from service.transport.http import json_form
from service.transport.http.json_form import KINDS
from service.transport.http.routes import METHODS

from .json_texts import json_texts
from .target import Read, Target

INPUTS = [METHODS[name].input_type for name in sorted(METHODS)]
LOGGABLE = {*string.ascii_letters, *string.digits, *"._:/+=@-"}
FAULTS = {
    *(f"must be {kind}" for kind in KINDS.values()),
    *("must be a JSON object", "must not begin with a byte order mark", "is named twice"),
    *("is not valid UTF-8", "is not valid JSON", "names a field twice", "cannot be decoded"),
    "does not fit the contract",
}


@contextmanager
def opened(_: Path) -> Iterator[Read]:
    def read(data: bytes) -> None:
        kind = INPUTS[data[0] % len(INPUTS)] if data else INPUTS[0]
        as_json(data[1:], kind)
        as_protobuf(data[1:], kind)
        given = data.decode("utf-8", "surrogateescape")
        fit = 0 < len(given) <= 128 and set(given) <= LOGGABLE
        assert (request_id(given) == given) == fit
        assert set(request_id(given)) <= LOGGABLE

    yield read


def as_json(body: bytes, kind: Any) -> None:
    try:
        message = json_form.read(body, kind)
    except InvalidRequest as refusal:
        check(refusal, kind)
        return
    # a parsed message survives a round trip through JSON
    assert json_form.message(MessageToDict(message), kind) == message
    assert json_form.message(json_form.encoded(message), kind) == message


def as_protobuf(encoded: bytes, kind: Any) -> None:
    try:
        message = GetMessageClass(kind).FromString(encoded)
    except DecodeError:
        refusal = undecodable(encoded, kind)
        path = check(refusal, kind)
        assert (refusal.fields[0].fault == "cannot be decoded") == (path is None)
        assert path is None or path.type == FieldDescriptor.TYPE_STRING
    else:
        message.DiscardUnknownFields()
        assert json_form.message(MessageToDict(message), kind) == message


def check(refusal: InvalidRequest, kind: Any) -> FieldDescriptor | None:
    """Return the named field, which the contract has; the error's text holds no input."""
    [field] = refusal.fields
    assert field.fault in FAULTS
    found = None
    for name in filter(None, field.path.split(".")):
        found = kind.fields_by_name[name]
        kind = found.message_type
    return found


CREDENTIALS = {"handle": b"\x0a", "app_password": b"\x12"}


@pytest.mark.parametrize("wrong", ["platform", "credentials.handle", "credentials.app_password"])
def test_the_field_at_fault_is_named(wrong: str) -> None:
    """The error names the invalid field, not a valid one beside it."""

    def text(path: str) -> bytes:
        return b"\x02\xc3\x28" if path == wrong else b"\x01a"

    inner = b"".join(tag + text(f"credentials.{name}") for name, tag in CREDENTIALS.items())
    kind = METHODS["ConnectProfile"].input_type
    encoded = b"\x12" + text("platform") + b"\x1a" + bytes([len(inner)]) + inner
    [field] = undecodable(encoded, kind).fields
    assert (field.path, field.fault) == (wrong, "is not valid UTF-8")


TARGET = Target(
    opened,
    (
        b'\0{"platform": "bluesky", "credentials": {"handle": "a", "appPassword": "b"}}',
        b"\0\x12\x07bluesky\x1a\x06\x0a\x01a\x12\x01b",
        b"\0\x1a\x05\x0a\x03\xed\xa0\x80",
        b'\6{"pageSize": 1, "pageToken": "a", "needsReconnectOnly": true}',
        b"req_1",
    ),
)

NAMES = (
    *("platform", "credentials", "handle", "appPassword", "app_password", "profileKey"),
    *("profile_key", "pageSize", "pageToken", "needsReconnectOnly", "idempotencyKey", "cursor"),
    *("[a.b]", "@type", "", "\u212a"),
)
KIND = st.integers(0, len(INPUTS) - 1).map(lambda kind: bytes([kind]))
TAGS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 7), st.binary(max_size=6)).map(
        lambda parts: bytes([parts[0] << 3 | parts[1], len(parts[2])]) + parts[2]
    ),
    max_size=4,
).map(b"".join)
BODIES = json_texts(NAMES, ("bluesky", "a", "true", "1")) | TAGS | st.binary()


@settings(deadline=None, max_examples=300)
@given(st.tuples(KIND, BODIES).map(b"".join))
@example(b"\0" + b'{"credentials":' * 5000)
@example(b'\0{"credentials": {"handle": "\\ud800"}}')
def test_any_message(read: Read, data: bytes) -> None:
    """A message is parsed and round-trips, or the error names a contract field and holds no input.

    A request id is loggable, or replaced by a generated one.
    """
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
