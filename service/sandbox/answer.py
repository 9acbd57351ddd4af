"""Answer: a whole HTTP answer, before it is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body; the body's length is told when it is sent."""

    status: int
    headers: tuple[Header, ...]
    body: bytes = b""

    @classmethod
    def json(cls, status: int, body: Mapping[str, object], *headers: Header) -> "Answer":
        """An answer as XRPC gives it."""
        kind = (b"content-type", b"application/json; charset=utf-8")
        everywhere = (b"access-control-allow-origin", b"*")
        return cls(status, (everywhere, *headers, kind), _written(body))

    @property
    def value(self) -> dict[str, Any]:
        """What the body says; nothing, where it is no JSON object."""
        return read_object(self.body)

    def saying(self, value: Mapping[str, object]) -> "Answer":
        """The same with another JSON body."""
        return replace(self, body=_written(value))

    def holding(self, body: bytes, *headers: Header) -> "Answer":
        """The same with another body, and further headers."""
        return replace(self, body=body, headers=(*self.headers, *headers))


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that *raw* is; an empty one, where it is none."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _written(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
