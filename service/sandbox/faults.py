"""Faults: every one that there is. A new one is a class and a row of FAULTS.

Fault
├── RateLimit · LoginWindows        too many calls: at once, or as the real server counts them
├── AnyStatus · Redirect · NotJson  something else instead of the answer
├── Hang · Slow · Drip              the answer, late
├── Oversize · Compressed · Reset   the answer, in a form that cannot be taken
└── OpaqueTokens · AnotherDid · AnotherHandle · AnotherEndpoint     the answer, changed
"""

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass

from service.sandbox.answer import Answer
from service.sandbox.call import Call
from service.sandbox.fault import Fault
from service.sandbox.lies import AnotherDid, AnotherEndpoint, AnotherHandle, OpaqueTokens
from service.sandbox.limits import LoginWindows, RateLimit

WORDS = {
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
"""How XRPC names a status; any other is InvalidRequest, or InternalServerError from 500 on."""


@dataclass
class AnyStatus(Fault):
    """Any status, with an error in the words of XRPC, or one of yours."""

    name = "status"
    status: int
    error: str = ""

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError("status must be 200 to 599")

    async def answer(self, call: Call) -> Answer:
        usual = "InternalServerError" if self.status >= 500 else "InvalidRequest"
        error = self.error or WORDS.get(self.status, usual)
        message = re.sub("(?<!^)(?=[A-Z][a-z])", " ", error)
        answer = Answer.json(self.status, {"error": error, "message": message})
        return answer.holding(b"") if self.status in (204, 205, 304) else answer


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
        return await call.truth()


@dataclass
class Slow(Fault):
    """The answer, after so many seconds."""

    name = "slow"
    seconds: float = 3.0

    async def answer(self, call: Call) -> Answer:
        await call.pause(self.seconds)
        return await call.truth()


@dataclass
class Drip(Fault):
    """The answer, a byte at a time, each after so many seconds."""

    name = "drip"
    seconds: float = 0.5

    async def play(self, call: Call) -> None:
        answer = await self.answer(call)
        await call.start(answer)
        for place in range(len(answer.body)):
            await call.pause(self.seconds)
            await call.go_on(answer.body[place : place + 1])
        await call.go_on(b"", more=False)


@dataclass
class Oversize(Fault):
    """The answer, made larger by so many bytes."""

    name = "oversize"
    size: int = 1_000_000

    async def answer(self, call: Call) -> Answer:
        answer = await call.truth()
        return answer.saying(answer.value | {"padding": "x" * self.size})


@dataclass
class Compressed(Fault):
    """The answer in gzip, whether or not that was asked for."""

    name = "compressed"

    async def answer(self, call: Call) -> Answer:
        answer = await call.truth()
        return answer.holding(gzip.compress(answer.body), (b"content-encoding", b"gzip"))


@dataclass
class Reset(Fault):
    """Half of the answer; then the connection is reset."""

    name = "reset"

    async def play(self, call: Call) -> None:
        answer = await self.answer(call)
        await call.start(answer)
        await call.go_on(answer.body[: len(answer.body) // 2])
        await call.hang_up()


FAULTS: Mapping[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        RateLimit,
        LoginWindows,
        AnyStatus,
        Redirect,
        NotJson,
        Hang,
        Slow,
        Drip,
        Oversize,
        Compressed,
        Reset,
        OpaqueTokens,
        AnotherDid,
        AnotherHandle,
        AnotherEndpoint,
    )
}
