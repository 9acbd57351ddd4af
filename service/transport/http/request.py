"""An HTTP request, read: the message that its path, query, headers and body make."""

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

LARGEST_BODY = 64 * 1024
READ_SECONDS = 10.0
"""In which a request is to be sent, head and body together."""
IDEMPOTENCY_KEY = "idempotency_key"
WORD = r"[!#$%&'*+.^_`|~0-9a-z-]++"
EQUALS = r"[ \t]*+=[ \t]*+"
OTHER_CHARSET = rf'charset{EQUALS}(?!"?utf-8"?[ \t]*+(?:;|$))'
PARAMETER = rf'(?!{OTHER_CHARSET}){WORD}{EQUALS}(?:{WORD}|"(?:[^"\\]|\\.)*+")'
# possessive throughout, so that a hostile header takes linear time
JSON = re.compile(
    rf"application/json(?:[ \t]*+;[ \t]*+(?:{PARAMETER})?+)*+[ \t]*+", re.ASCII | re.IGNORECASE
)
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,10}", re.ASCII)
NO_BODY = b""


def header(request: Request, name: str) -> str | None:
    """The header; of one that is there twice, what both say, which then fits nothing."""
    return ", ".join(found) if (found := request.headers.getlist(name)) else None


async def body_of(request: Request) -> bytes | ServiceError:
    """The body, or what it is to be refused with once it is known who is calling.

    Raises ClientDisconnect where the caller goes away before it is sent.
    """
    try:
        return await _body(request)
    except ServiceError as error:
        return error


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if int(length) > LARGEST_BODY:  # digits alone: the HTTP library has seen to that
        raise PayloadTooLarge
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout_at(request.state.until):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    raise PayloadTooLarge
                parts.append(part)
    except TimeoutError:
        raise InvalidRequest("", f"was not sent within {READ_SECONDS:.0f} seconds") from None
    if size and not _is_json(request):
        raise UnsupportedMediaType
    return b"".join(parts)


def _is_json(request: Request) -> bool:
    kind = header(request, "content-type") or ""
    coding = header(request, "content-encoding") or "identity"
    return JSON.fullmatch(kind) is not None and coding.strip().lower() == "identity"


def message(
    route: Route, request: Request, segments: Mapping[str, str], body: bytes | ServiceError
) -> Message:
    """The request's message; raises ServiceError."""
    kind = route.contract.input_type
    if not route.body:
        return json_form.message({**_query(route, request, segments), **segments}, kind)
    if isinstance(body, ServiceError):
        raise body
    sent = json_form.read(body or b"{}", kind)
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        raise InvalidRequest(IDEMPOTENCY_KEY, "is named twice")
    for key in keys:
        if key == "":
            raise InvalidRequest(IDEMPOTENCY_KEY, "must not be empty; leave it out for none")
        # the contract has a field for it, which the JSON form has too
        if getattr(sent, IDEMPOTENCY_KEY) not in ("", key):
            raise InvalidRequest(IDEMPOTENCY_KEY, "is another one in the header")
        setattr(sent, IDEMPOTENCY_KEY, key)
    return sent


def segments(found: Mapping[str, str]) -> dict[str, str]:
    """The parts of the path, decoded one by one: a slash in one of them is none between two."""
    # what is no UTF-8 becomes a sign that no key and no platform holds
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
    """The fields of the request that come in the query."""
    fields: list[FieldDescriptor] = list(route.contract.input_type.fields)
    return [
        field for field in fields if not route.body and f"{{{field.json_name}}}" not in route.path
    ]


def _typed(field: FieldDescriptor, text: str) -> Any:
    """*text* as JSON would have it; left as it is, where it is not of the field's type."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"true": True, "false": False}.get(text, text)
    if field.type == FieldDescriptor.TYPE_INT32:
        # not as the library reads numbers, which takes them with underscores and other digits
        return int(text) if WHOLE_NUMBER.fullmatch(text) else "no number"
    return text
