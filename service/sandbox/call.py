"""Call: a call that a fault may answer, and Answer: a complete HTTP answer."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.sandbox.tokens import unveiled
from service.sandbox.world import World

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers without content-length, and body."""

    status: int
    headers: tuple[Header, ...]
    body: bytes = b""

    @classmethod
    def json(cls, status: int, body: Mapping[str, object], *headers: Header) -> "Answer":
        """Return an answer in the form of XRPC."""
        content_type = (b"content-type", b"application/json; charset=utf-8")
        cors = (b"access-control-allow-origin", b"*")
        return cls(status, (cors, *headers, content_type), _encoded(body))

    @property
    def value(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        return read_object(self.body)

    def with_json(self, value: Mapping[str, object]) -> "Answer":
        """Return a copy with *value* as its body."""
        return replace(self, body=_encoded(value))

    def with_body(self, body: bytes, *headers: Header) -> "Answer":
        """Return a copy with another body and additional headers."""
        return replace(self, body=body, headers=(*self.headers, *headers))


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in *raw*; empty if there is none."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def method_of(path: str) -> str:
    """Return the last part of the XRPC method in *path*, such as createSession; or `plc`."""
    _, xrpc, name = path.partition("/xrpc/")
    return name.rpartition(".")[2] if xrpc else "plc"


class Gone(Exception):
    """The caller has disconnected."""


class Call:
    """A call to *application*. *world* resolves the account that it concerns."""

    def __init__(
        self, application: ASGIApp, world: World, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.path: str = scope["path"]
        self.method = method_of(self.path)
        self.now = world.now
        self.mended = asyncio.Event()
        self._application = application
        self._world = world
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body = b""
        self._is_replayed = False

    async def read(self) -> None:
        """Read the body; raise Gone. Call it before anything else."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            self._body += message.get("body", b"")
            more = message.get("more_body", False)

    @property
    def identifier(self) -> str:
        """The identifier of a login, as it is spelt; empty for other calls."""
        return _text(read_object(self._body).get("identifier"))

    @property
    def account(self) -> str | None:
        """The DID of the account that the call concerns, if any."""
        query = parse_qs(self._scope["query_string"].decode("latin-1"))
        names = (
            self.path.removeprefix("/") if self.method == "plc" else "",
            *query.get("handle", ()),
            *query.get("did", ()),
            *query.get("repo", ()),
            self.identifier,
            self._bearer(),
        )
        return next((did for name in names if (did := self._world.did_of(name.lower()))), None)

    async def forward(self) -> None:
        """Let the application answer."""
        await self._application(self._scope, self._replay, self._send)

    async def real_answer(self) -> Answer:
        """Return the application's answer without sending it."""
        parts: list[Message] = []

        async def keep(part: Message) -> None:
            parts.append(part)

        await self._application(self._scope, self._replay, keep)
        headers = [item for item in parts[0]["headers"] if item[0] != b"content-length"]
        body = b"".join(part.get("body", b"") for part in parts[1:])
        return Answer(parts[0]["status"], tuple(headers), body)

    async def start(self, answer: Answer) -> None:
        """Send the status and headers of *answer*, with its content-length."""
        length = (b"content-length", str(len(answer.body)).encode())
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [*answer.headers, length],
            }
        )

    async def send_body(self, part: bytes, *, more: bool = True) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": part, "more_body": more})

    async def reset(self) -> None:
        """Reset the connection; raise Gone."""
        self._scope["state"]["reset"]()
        await self._until_gone()

    async def pause(self, seconds: float | None = None) -> None:
        """Wait *seconds*, or until the fault is mended; raise Gone."""
        gone = asyncio.ensure_future(self._until_gone())
        mended = asyncio.ensure_future(self.mended.wait())
        try:
            await asyncio.wait((gone, mended), timeout=seconds, return_when="FIRST_COMPLETED")
            if gone.done():
                gone.result()
        finally:
            gone.cancel()
            mended.cancel()
            await asyncio.gather(gone, mended, return_exceptions=True)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise Gone

    async def _replay(self) -> Message:
        if self._is_replayed:
            return await self._receive()
        self._is_replayed = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    def _bearer(self) -> str:
        header = dict(self._scope["headers"]).get(b"authorization", b"").decode("latin-1")
        _, _, rest = unveiled(header.rpartition(" ")[2]).partition(".")
        try:
            claims = urlsafe_b64decode(f"{rest.partition('.')[0]}===")
        except ValueError:
            return ""
        return _text(read_object(claims).get("sub"))


def _encoded(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
