"""Body: the JSON object in a request, validated like the real server's lexicon."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from service.sandbox.refusals import InvalidRequest, PayloadTooLarge, UnreadableBody

MAX_BODY_BYTES = 150 * 1024

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


@dataclass(frozen=True, slots=True)
class Field:
    """A property of a JSON object. *type* is str, bool, int or float."""

    name: str
    type: type
    required: bool = False


async def read(request: Request, fields: Sequence[Field]) -> dict[str, Any]:
    """Return the body of *request* with valid *fields*, and any others; raise Refusal."""
    if not _is_announced(request):
        raise InvalidRequest("A request body is expected but none was provided")
    encoding = request.headers.get("content-type", "").split(";")[0].strip()
    if not encoding:
        raise InvalidRequest("Request encoding (Content-Type) required but not provided")
    if encoding != "application/json":
        raise InvalidRequest(f"Wrong request encoding (Content-Type): {encoding}")
    raw = await request.body()
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLarge
    return checked(_parse(raw), fields)


def is_empty(request: Request) -> bool:
    """Whether *request* has no body, or one without bytes."""
    return not _is_announced(request) or request.headers.get("content-length") == "0"


def reject(request: Request) -> None:
    """Raise InvalidRequest if *request* has a body."""
    if not is_empty(request):
        raise InvalidRequest("A request body was provided when none was expected")


def checked(body: Any, fields: Sequence[Field]) -> dict[str, Any]:
    """Return *body* if it is an object with valid *fields*; raise InvalidRequest if not."""
    if not isinstance(body, dict):
        raise InvalidRequest(f"Expected object value type (got {_shown(body)}) at $")
    for field in fields:
        if field.name not in body:
            if field.required:
                raise InvalidRequest(f'Missing required key "{field.name}" at $')
        elif not _is(value := body[field.name], field.type):
            raise InvalidRequest(
                f"Expected {_NAMES[field.type]} value type (got {_shown(value)}) at $.{field.name}"
            )
    return body


def _is_announced(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers


def _parse(raw: bytes) -> Any:
    text = raw.decode("utf-8-sig", "replace")
    first = text.lstrip()[:1]
    if not text:
        return {}
    if first not in ("{", "["):
        raise UnreadableBody(f"Unexpected token '{first}', \"{text}\" is not valid JSON")
    try:
        return json.loads(text)
    except ValueError as error:
        # the error name is the real server's; the message is Python's and not V8's
        raise UnreadableBody(str(error)) from None


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool  # bool is a subclass of int
    return isinstance(value, int | float if kind is float else kind)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        value = value if len(value) < 48 else value[:47] + "…"
    elif isinstance(value, list):
        return f"[{_abridged([_shown(each) for each in value])}]"
    elif isinstance(value, dict):
        return f"{{{_abridged([f'{json.dumps(key)}: ...' for key in value])}}}"
    return json.dumps(value, ensure_ascii=False)


def _abridged(parts: list[str]) -> str:
    return ", ".join(parts[:2] + ["..."] * (len(parts) > 2))
