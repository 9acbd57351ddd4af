"""Calls: any bytes as a message end in a reply or a contract error, alike over gRPC and HTTP."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc.aio
import httpx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from service.transport.http.routes import METHODS, ROUTES, Route
from service.transport.status import STATUS
from tests.support.running import Running, refusal_of

from .running_service import served
from .target import Read, Target

NAMES = sorted(METHODS)
ROUTE_OF = {route.method: route for route in ROUTES}
REASONS = {status.name: status for status in STATUS.values()}
TIMEOUT_SECONDS = 60.0
NO_PARTS = ("", ".", "..")
"""Values that change a path in every client."""
Outcome = tuple[str, str]
"""Reason and message of an error; both are empty for a reply."""


class Caller:
    """A caller of one service over both transports."""

    def __init__(self, service: Running, key: str, client: httpx.AsyncClient) -> None:
        self._service = service
        self._key = key
        self._client = client

    async def by_grpc(self, name: str, encoded: bytes) -> Outcome:
        contract = METHODS[name]
        path = f"/{contract.containing_service.full_name}/{name}"
        channel: Any = self._service.channel
        more: dict[str, Any] = {"metadata": (("x-api-key", self._key),), "timeout": TIMEOUT_SECONDS}
        try:
            if not contract.server_streaming:
                await channel.unary_unary(path)(encoded, **more)
            else:
                stream = channel.unary_stream(path)(encoded, **more)
                await stream.read()
                stream.cancel()
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            status = REASONS[refusal.reason]
            assert status.code is refusal.code
            assert refusal.reason not in ("INTERNAL", "DEADLINE_EXCEEDED")
            if undecodable(name, encoded):
                assert refusal.reason == "INVALID_REQUEST"
                [path] = refusal.fields
                assert not path or field_of(contract.input_type, path)
            return refusal.reason, refusal.message
        assert not undecodable(name, encoded)
        return "", ""

    async def by_http(self, route: Route, request: Message) -> Outcome:
        fields = MessageToDict(request)
        path = re.sub(r"{(\w+)}", lambda name: quote(fields.pop(name[1], ""), safe=""), route.path)
        sent: dict[str, Any] = (
            {"content": json.dumps(fields), "headers": {"content-type": "application/json"}}
            if route.body
            else {"params": {name: lower(value) for name, value in fields.items()}}
        )
        answer = await self._client.request(route.verb, path, **sent)
        if answer.is_success:
            assert answer.status_code == route.status
            return "", ""
        error = answer.json()
        assert REASONS[error["error"]].http == answer.status_code
        return error["error"], error["message"]


def lower(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def undecodable(name: str, encoded: bytes) -> bool:
    try:
        GetMessageClass(METHODS[name].input_type).FromString(encoded)
    except DecodeError:
        return True
    return False


def field_of(kind: Any, path: str) -> FieldDescriptor:
    first, _, rest = path.partition(".")
    field: FieldDescriptor = kind.fields_by_name[first]
    return field_of(field.message_type, rest) if rest else field


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    with served(folder) as (runner, service, key):
        client = httpx.AsyncClient(
            base_url=f"http://{service.http}",
            headers={"x-api-key": key},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
        caller = Caller(service, key, client)

        async def both(name: str, encoded: bytes) -> None:
            by_grpc = await caller.by_grpc(name, encoded)
            if name not in ROUTE_OF or undecodable(name, encoded):
                return
            request = GetMessageClass(METHODS[name].input_type).FromString(encoded)
            if any(getattr(request, part) in NO_PARTS for part in names_in(ROUTE_OF[name])):
                return
            assert await caller.by_http(ROUTE_OF[name], request) == by_grpc

        def read(data: bytes) -> None:
            runner.run(both(NAMES[data[0] % len(NAMES)] if data else NAMES[0], data[1:]))

        try:
            yield read
        finally:
            runner.run(client.aclose())


def names_in(route: Route) -> Iterator[str]:
    """Yield the request fields that are in the path."""
    for field in route.contract.input_type.fields:
        if f"{{{field.json_name}}}" in route.path:
            yield field.name


def filled(kind: Any) -> st.SearchStrategy[Message]:
    """Return messages of that *kind*, with each field set or unset."""
    build = GetMessageClass(kind)
    return st.fixed_dictionaries(
        {}, optional={field.name: values(field) for field in kind.fields}
    ).map(lambda fields: build(**fields))


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type:
        return filled(field.message_type)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_INT32:
        return st.sampled_from([0, 1, -1, 1000, 2**31 - 1, -(2**31)])
    return st.sampled_from(TEXTS.get(field.name, [])) | OTHERS if field.name in TEXTS else OTHERS


OTHERS = st.sampled_from(["", "a", "\0", "\n", "é/ü", "%2F", "..", "?", "#", "x" * 300]) | st.text(
    st.characters(codec="utf-8"), max_size=12
)
TEXTS = {
    "platform": ["bluesky", "linkedin", "bluesky", "Bluesky", "bluesky "],
    "profile_key": ["prof_absent", "prof_", "prof_A"],
    "handle": ["alice.test", "@alice.test", "alice", "alice.local"],
    "app_password": ["abcd-efgh-ijkl-mnop"],
}
FILLED = st.integers(0, len(NAMES) - 1).flatmap(
    lambda number: filled(METHODS[NAMES[number]].input_type).map(
        lambda message: bytes([number]) + message.SerializeToString()
    )
)
TARGET = Target(
    opened,
    (
        *(bytes([number]) for number in range(len(NAMES))),
        b"\0\x12\x07bluesky\x1a\x06\x0a\x01a\x12\x01b",
        b"\0\x1a\x05\x0a\x03\xed\xa0\x80",
        b"\0\xff\xff\xff",
    ),
)


@settings(deadline=None, max_examples=150)
@given(
    FILLED
    | st.tuples(st.integers(0, len(NAMES) - 1), st.binary(max_size=40)).map(
        lambda parts: bytes([parts[0]]) + parts[1]
    )
)
def test_any_message(read: Read, data: bytes) -> None:
    """Undecodable bytes are INVALID_REQUEST, which names a field or none.

    Decodable messages, built from the contract's descriptors, end alike over gRPC and HTTP, and
    never in INTERNAL.
    """
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
