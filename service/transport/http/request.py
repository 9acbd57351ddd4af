"""Requests: build the contract's message from path, query, headers and body."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from starlette.requests import Request

from service.domain.errors import (
    InvalidRequest,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMediaType,
)
from service.transport.http import json_form
from service.transport.http.routes import Route

MAX_BODY_BYTES = 64 * 1024
READ_SECONDS = 10.0
"""Time limit for receiving a request, head and body together."""
IDEMPOTENCY_KEY = "idempotency_key"
WORD = r"[!#$%&'*+.^_`|~0-9a-z-]++"
EQUALS = r"[ \t]*+=[ \t]*+"
OTHER_CHARSET = rf'charset{EQUALS}(?!"?utf-8"?[ \t]*+(?:;|$))'
PARAMETER = rf'(?!{OTHER_CHARSET}){WORD}{EQUALS}(?:{WORD}|"(?:[^"\\]|\\.)*+")'
# possessive quantifiers, so that matching takes linear time
JSON = re.compile(
    rf"application/json(?:[ \t]*+;[ \t]*+(?:{PARAMETER})?+)*+[ \t]*+", re.ASCII | re.IGNORECASE
)
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,10}", re.ASCII)
NO_BODY = b""


def header(request: Request, name: str) -> str | None:
    """Return the header. A repeated one has its values joined, so that none is accepted alone."""
    return ", ".join(found) if (found := request.headers.getlist(name)) else None


async def body_of(request: Request) -> bytes | ServiceError:
    """Return the body, or the error to raise once the caller is authenticated.

    Raise ClientDisconnect if the caller disconnects before the end of the body.
    """
    try:
        return await _body(request)
    except ServiceError as error:
        return error


async def _body(request: Request) -> bytes:
    body = await read_body(request, MAX_BODY_BYTES)
    if body and not _is_json(request):
        raise UnsupportedMediaType
    return body


async def read_body(request: Request, most: int) -> bytes:
    """Return the body, of at most *most* bytes. Raises PayloadTooLarge or InvalidRequest.

    Raises ClientDisconnect if the caller disconnects before the end of the body.
    """
    length = request.headers.get("content-length", "0")
    if int(length) > most:  # head.py accepts digits only
        raise PayloadTooLarge
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout_at(request.state.read_deadline):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise PayloadTooLarge
                parts.append(part)
    except TimeoutError:
        raise InvalidRequest("", f"was not sent within {READ_SECONDS:.0f} seconds") from None
    return b"".join(parts)


def _is_json(request: Request) -> bool:
    kind = header(request, "content-type") or ""
    coding = header(request, "content-encoding") or "identity"
    return JSON.fullmatch(kind) is not None and coding.strip().lower() == "identity"


def message(
    route: Route, request: Request, segments: Mapping[str, str], body: bytes | ServiceError
) -> Message:
    """Return the message of *request*. Raise ServiceError."""
    kind = route.contract.input_type
    if not route.body:
        return json_form.message({**_query(route, request, segments), **segments}, kind)
    if isinstance(body, ServiceError):
        raise body
    sent = json_form.read(body or b"{}", kind)
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        raise InvalidRequest(IDEMPOTENCY_KEY, "is named twice")
    for key in keys if IDEMPOTENCY_KEY in kind.fields_by_name else ():
        if key == "":
            raise InvalidRequest(IDEMPOTENCY_KEY, "must not be empty; leave it out for none")
        # the body may also set the field, but only to the same value
        if getattr(sent, IDEMPOTENCY_KEY) not in ("", key):
            raise InvalidRequest(IDEMPOTENCY_KEY, "is another one in the header")
        setattr(sent, IDEMPOTENCY_KEY, key)
    return sent


def segments(found: Mapping[str, str]) -> dict[str, str]:
    """Percent-decode the parameters of a path, so that they may contain a slash."""
    # invalid UTF-8 becomes U+FFFD, which no key and no platform contains
    return {name: unquote(part, errors="replace") for name, part in found.items()}


def _query(route: Route, request: Request, segments: Mapping[str, str]) -> dict[str, Any]:
    fields = {field.json_name: field for field in query_fields(route)}
    try:
        query = request.scope["query_string"].decode()
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequest("", "is not valid UTF-8") from None
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name not in fields:
            continue
        if name in found:
            raise InvalidRequest(fields[name].name, "is named twice")
        found[name] = _typed(fields[name], text)
    return found


def query_fields(route: Route) -> list[FieldDescriptor]:
    """Return the fields of the request that come from the query."""
    fields: list[FieldDescriptor] = list(route.contract.input_type.fields)
    return [
        field for field in fields if not route.body and f"{{{field.json_name}}}" not in route.path
    ]


def _typed(field: FieldDescriptor, text: str) -> Any:
    """Return *text* as a JSON value of the field's type, or a string that the type rejects."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"true": True, "false": False}.get(text, text)
    if field.type == FieldDescriptor.TYPE_INT32:
        # int() alone would accept underscores and non-ASCII digits
        return int(text) if WHOLE_NUMBER.fullmatch(text) else "no number"
    return text
