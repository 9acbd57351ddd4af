"""Body: the JSON object that a call brings, checked as the real server's lexicon checks it."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from service.sandbox.field import Field
from service.sandbox.refusals import InvalidRequest, PayloadTooLarge, UnreadableBody

LARGEST_BODY = 150 * 1024

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


async def read(request: Request, fields: Sequence[Field]) -> dict[str, Any]:
    """The body of *request*, with *fields* as they should be; raise the refusal that is due."""
    if not _announced(request):
        raise InvalidRequest("A request body is expected but none was provided")
    encoding = request.headers.get("content-type", "").split(";")[0].strip()
    if not encoding:
        raise InvalidRequest("Request encoding (Content-Type) required but not provided")
    if encoding != "application/json":
        raise InvalidRequest(f"Wrong request encoding (Content-Type): {encoding}")
    raw = await request.body()
    if len(raw) > LARGEST_BODY:
        raise PayloadTooLarge()
    return checked(_parsed(raw), fields)


def is_empty(request: Request) -> bool:
    """Whether *request* brings no body, or one of no length."""
    return not _announced(request) or request.headers.get("content-length") == "0"


def refuse(request: Request) -> None:
    """Refuse a body where none belongs; an empty one is let pass."""
    if not is_empty(request):
        raise InvalidRequest("A request body was provided when none was expected")


def checked(body: Any, fields: Sequence[Field]) -> dict[str, Any]:
    """*body*, if it is an object with *fields* as they should be, whatever else is in it."""
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


def _announced(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers


def _parsed(raw: bytes) -> Any:
    text = raw.decode("utf-8-sig", "replace")
    first = text.lstrip()[:1]
    if not text:
        return {}
    if first not in ("{", "["):
        raise UnreadableBody(f"Unexpected token '{first}', \"{text}\" is not valid JSON")
    try:
        return json.loads(text)
    except ValueError as error:
        # the error's name is the real one; the sentence after it is Python's, not V8's
        raise UnreadableBody(str(error)) from None


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool  # to Python, a truth value is a number too
    return isinstance(value, int | float if kind is float else kind)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        value = value if len(value) < 48 else value[:47] + "…"
    elif isinstance(value, list):
        return f"[{_listed([_shown(each) for each in value])}]"
    elif isinstance(value, dict):
        return f"{{{_listed([f'{json.dumps(key)}: ...' for key in value])}}}"
    return json.dumps(value, ensure_ascii=False)


def _listed(shown: list[str]) -> str:
    return ", ".join(shown[:2] + ["..."] * (len(shown) > 2))
