"""Answer: what a server said, without all that differs from one run to the next."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.sandbox.caller import parts

JSON = "application/json; charset=utf-8"

# nothing in the project reads other headers
HEADERS = (
    "content-type",
    "content-encoding",
    "location",
    "set-cookie",
)
LIMITS = (
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit-policy",
)
OVERLOOKED = "<overlooked>"

_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
# values that are drawn by lot, by their names
_DRAWN = {
    "jti": re.compile(r"[A-Za-z0-9+/]{43}"),
    "publicKeyMultibase": re.compile(r"z[1-9A-HJ-NP-Za-km-z]{88}"),
    "rev": re.compile(r"[2-7a-z]{13}"),
    "createdAt": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
}


@dataclass(frozen=True)
class Answer:
    """Status, body and headers; the body is its JSON, or None where there is none.

    Names of the account stand in it as `<did>` and the like, tokens as what they say. Two answers
    are the same with any `limits`.
    """

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": JSON})
    limits: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    raw: Any = field(default=None, compare=False, repr=False)
    # to Python 1 is True, to JSON it is not
    _text: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", json.dumps(self.body, sort_keys=True))

    def __str__(self) -> str:
        """In a few words."""
        return f"{self.status} {_brief(self.body)}"

    def without(self, key: str) -> "Answer":
        """The same answer, but for one property of its body."""
        return replace(self, body={name: self.body[name] for name in self.body if name != key})

    def overlooking(self, *keys: str) -> "Answer":
        """Return a copy in which these properties of the body are ignored."""
        if not self.body:
            return self
        overlooked = {key: OVERLOOKED for key in keys if key in self.body}
        return replace(self, body={**self.body, **overlooked})


def comparable(response: httpx.Response, names: Mapping[str, str], now: float) -> Answer:
    """*response* as an answer; *names* are what to write for the names of the account."""
    raw = response.json() if response.content else None
    return Answer(
        response.status_code,
        _Plain(names, now).of(raw),
        {name: response.headers[name] for name in HEADERS if name in response.headers},
        {name: response.headers[name] for name in LIMITS if name in response.headers},
        raw,
    )


def _brief(body: Any) -> str:
    if body is None:
        return "without a body"
    if "error" in body:
        return f"{body['error']}: {body['message']}"
    if "alsoKnownAs" in body:
        [name], [service] = body["alsoKnownAs"], body["service"]
        return f"{name} at {service['serviceEndpoint']}"
    if "active" not in body:
        return json.dumps(body, ensure_ascii=False)
    scope = [body["accessJwt"]["scope"].removeprefix("com.atproto.")] if "accessJwt" in body else []
    return ", ".join([*scope, body.get("status", "active"), *_document_of(body)])


def _document_of(body: dict[str, Any]) -> list[str]:
    if "handle" not in body or body.get("didDoc") == OVERLOOKED:
        return []
    document = _brief(body["didDoc"]) if "didDoc" in body else "no document"
    return [] if document == f"at://{body['handle']} at <origin>" else [document]


class _Plain:
    def __init__(self, names: Mapping[str, str], now: float) -> None:
        # the longer ones first, since a handle is part of an address
        self._names = sorted(names.items(), key=lambda name: -len(name[0]))
        self._now = now

    def of(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self.of(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self.of(each) for each in value]
        if not isinstance(value, str):
            return value
        if _JWT.fullmatch(value):
            return self._token(value)
        if name in _DRAWN and _DRAWN[name].fullmatch(value):
            return f"<{name}>"
        for found, written in self._names:
            value = value.replace(found, written)
        return value

    def _token(self, token: str) -> dict[str, Any]:
        header, claims = parts(token)
        lives = claims.pop("exp") - claims["iat"]
        issued = "now" if abs(claims.pop("iat") - self._now) < 30 else "at another time"
        return {**header, **self.of(claims), "issued": issued, "lives": lives}
