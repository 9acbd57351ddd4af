"""Faults: the ways in which a server can answer wrongly. To add one, add a class to FAULTS."""

import gzip
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar

from service.sandbox.body import Field
from service.sandbox.call import Answer, Call, Header
from service.sandbox.tokens import veiled

MAX_SETTING = 1_000_000
DAY_SECONDS = 24 * 3600
ERRORS = {
    401: "AuthenticationRequired",
    403: "Forbidden",
    404: "XRPCNotSupported",
    413: "PayloadTooLarge",
    429: "RateLimitExceeded",
    501: "MethodNotImplemented",
    502: "UpstreamFailure",
    503: "NotEnoughResources",
    504: "UpstreamTimeout",
}
"""XRPC's error by status. For others it is InvalidRequest, or InternalServerError from 500."""


class Fault:
    """A way to answer wrongly: a dataclass whose fields are its settings.

    *name* and the docstring are its name and help text. The constructor raises ValueError for an
    invalid setting.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type] # subclasses are dataclasses
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not 0 < value <= MAX_SETTING:
                raise ValueError(f"{each.name} must be more than 0, and at most {MAX_SETTING}")

    async def play(self, call: Call) -> None:
        """Answer *call*; raise Gone if the caller disconnects first."""
        answer = await self.answer(call)
        await call.start(answer)
        await call.send_body(answer.body, more=False)

    async def answer(self, call: Call) -> Answer:
        """Return the answer to send; the default is the real one."""
        return await call.real_answer()


def settings_of(kind: type[Fault]) -> tuple[Field, ...]:
    """Return the settings of a fault. Those without a default are required."""
    return tuple(
        Field(each.name, each.type, each.default is MISSING)  # type: ignore[arg-type]
        for each in fields(kind)  # type: ignore[arg-type]
        if each.init
    )


@dataclass
class RateLimit(Fault):
    """429 RateLimitExceeded, which ends after --seconds."""

    name = "rate-limit"
    seconds: int = 300

    async def answer(self, call: Call) -> Answer:
        return _rate_limited(_rate_limit(30, 0, 300, call.now() + self.seconds))


@dataclass
class LoginWindows(Fault):
    """The real server's windows: 30 logins in 5 minutes, 300 a day, for each spelling of a name."""

    name = "login-windows"
    limit: int = 30
    seconds: int = 300
    _windows: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict, init=False)

    async def answer(self, call: Call) -> Answer:
        if call.method != "createSession" or not call.identifier:
            return await call.real_answer()
        windows: list[tuple[int, tuple[Header, ...]]] = []
        for limit, seconds in ((300, DAY_SECONDS), (self.limit, self.seconds)):
            end, used = self._windows.get((call.identifier, seconds), (0.0, 0))
            if end <= call.now():
                end, used = call.now() + seconds, 0
            self._windows[call.identifier, seconds] = end, used + 1
            left = limit - used - 1
            windows.append((left, _rate_limit(limit, max(left, 0), seconds, end)))
        left, headers = min(windows, key=lambda item: item[0])
        if left < 0:
            return _rate_limited(headers)
        answer = await call.real_answer()
        return answer.with_body(answer.body, *headers)


@dataclass
class AnyStatus(Fault):
    """Any status, with the error that XRPC has for it, or --error."""

    name = "status"
    status: int
    error: str = ""

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError("status must be 200 to 599")

    async def answer(self, call: Call) -> Answer:
        default = "InternalServerError" if self.status >= 500 else "InvalidRequest"
        error = self.error or ERRORS.get(self.status, default)
        message = re.sub("(?<!^)(?=[A-Z][a-z])", " ", error)
        answer = Answer.json(self.status, {"error": error, "message": message})
        return answer.with_body(b"") if self.status in (204, 205, 304) else answer


@dataclass
class Redirect(Fault):
    """307 to another URL."""

    name = "redirect"
    to: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[\x21-\x7e]+", self.to):
            raise ValueError("to must be an http(s) URL")

    async def answer(self, call: Call) -> Answer:
        return Answer(307, ((b"location", self.to.encode()),))


@dataclass
class NotJson(Fault):
    """200 with a page of HTML."""

    name = "not-json"

    async def answer(self, call: Call) -> Answer:
        page = b"<!DOCTYPE html><title>Maintenance</title><p>We will be back soon."
        return Answer(200, ((b"content-type", b"text/html; charset=utf-8"),), page)


@dataclass
class Hang(Fault):
    """No answer, until the fault is mended or the caller hangs up."""

    name = "hang"

    async def answer(self, call: Call) -> Answer:
        await call.pause()
        return await call.real_answer()


@dataclass
class Slow(Fault):
    """The answer, after --seconds."""

    name = "slow"
    seconds: float = 3.0

    async def answer(self, call: Call) -> Answer:
        await call.pause(self.seconds)
        return await call.real_answer()


@dataclass
class Drip(Fault):
    """The answer, one byte every --seconds."""

    name = "drip"
    seconds: float = 0.5

    async def play(self, call: Call) -> None:
        answer = await self.answer(call)
        await call.start(answer)
        for index in range(len(answer.body)):
            await call.pause(self.seconds)
            await call.send_body(answer.body[index : index + 1])
        await call.send_body(b"", more=False)


@dataclass
class Oversize(Fault):
    """The answer, made larger by --size bytes."""

    name = "oversize"
    size: int = 1_000_000

    async def answer(self, call: Call) -> Answer:
        answer = await call.real_answer()
        return answer.with_json(answer.value | {"padding": "x" * self.size})


@dataclass
class Compressed(Fault):
    """The answer in gzip, even if the request did not ask for it."""

    name = "compressed"

    async def answer(self, call: Call) -> Answer:
        answer = await call.real_answer()
        return answer.with_body(gzip.compress(answer.body), (b"content-encoding", b"gzip"))


@dataclass
class Reset(Fault):
    """Half of the answer; then the connection is reset."""

    name = "reset"

    async def play(self, call: Call) -> None:
        answer = await self.answer(call)
        await call.start(answer)
        await call.send_body(answer.body[: len(answer.body) // 2])
        await call.reset()


class ChangedAnswer(Fault):
    """The answer with other values in it. Errors are not changed."""

    async def answer(self, call: Call) -> Answer:
        answer = await call.real_answer()
        return answer.with_json(self.changed(answer.value)) if answer.status == 200 else answer

    def changed(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON object to send instead of *value*."""
        raise NotImplementedError


@dataclass
class OpaqueTokens(ChangedAnswer):
    """Sessions with tokens that are not JWTs. They can be refreshed and deleted like any other."""

    name = "opaque-tokens"

    def changed(self, value: dict[str, Any]) -> dict[str, Any]:
        tokens = {"accessJwt", "refreshJwt"} & value.keys()
        return value | {key: veiled(value[key]) for key in tokens}


@dataclass
class AnotherDid(ChangedAnswer):
    """Another DID than the account's."""

    name = "another-did"
    did: str = "did:plc:anotherdidanotherdidabcd"

    def changed(self, value: dict[str, Any]) -> dict[str, Any]:
        return value | dict.fromkeys({"did", "id"} & value.keys(), self.did)


@dataclass
class AnotherHandle(ChangedAnswer):
    """Another handle than the account's."""

    name = "another-handle"
    handle: str = "another.test"

    def changed(self, value: dict[str, Any]) -> dict[str, Any]:
        names = {"handle": self.handle, "alsoKnownAs": [f"at://{self.handle}"]}
        return value | {key: name for key, name in names.items() if key in value}


@dataclass
class AnotherEndpoint(ChangedAnswer):
    """A DID document that names another server; also the one in a session."""

    name = "another-endpoint"
    endpoint: str = "http://127.0.0.1:9"

    def changed(self, value: dict[str, Any]) -> dict[str, Any]:
        for document in (value, value.get("didDoc", {})):
            for service in document.get("service", ()):
                service["serviceEndpoint"] = self.endpoint
        return value


KINDS = (
    *(RateLimit, LoginWindows, AnyStatus, Redirect, NotJson, Hang, Slow, Drip),
    *(Oversize, Compressed, Reset, OpaqueTokens, AnotherDid, AnotherHandle, AnotherEndpoint),
)
FAULTS: Mapping[str, type[Fault]] = {kind.name: kind for kind in KINDS}


def _rate_limit(limit: int, left: int, seconds: int, end: float) -> tuple[Header, ...]:
    # without Retry-After, as the real server
    return (
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-reset", b"%d" % end),
        (b"ratelimit-remaining", b"%d" % left),
        (b"ratelimit-policy", b"%d;w=%d" % (limit, seconds)),
    )


def _rate_limited(headers: tuple[Header, ...]) -> Answer:
    body = {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}
    return Answer.json(429, body, *headers)
