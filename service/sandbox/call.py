"""Call: one call that a fault may answer: what is asked, about whom, and ways to answer it."""

import asyncio
from base64 import urlsafe_b64decode
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.sandbox.answer import Answer, read_object
from service.sandbox.tokens import unveiled
from service.sandbox.world import World


def method_of(path: str) -> str:
    """The last part of the XRPC method that *path* names, such as createSession; or `plc`."""
    _, xrpc, name = path.partition("/xrpc/")
    return name.rpartition(".")[2] if xrpc else "plc"


class Gone(Exception):
    """The caller has hung up."""


class Call:
    """One call to *application*, its body read; *world* knows whose account it is about."""

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
        self._replayed = False

    async def read(self) -> None:
        """Read the body; raises Gone."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            self._body += message.get("body", b"")
            more = message.get("more_body", False)

    @property
    def identifier(self) -> str:
        """Whom a login names, as it is spelt; empty, where this is none."""
        return _text(read_object(self._body).get("identifier"))

    @property
    def account(self) -> str | None:
        """The DID of the account that this is about, if there is one."""
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

    async def pass_on(self) -> None:
        """Let the application answer, as if nobody had looked."""
        await self._application(self._scope, self._replay, self._send)

    async def truth(self) -> Answer:
        """What the application answers, kept from the caller."""
        parts: list[Message] = []

        async def keep(part: Message) -> None:
            parts.append(part)

        await self._application(self._scope, self._replay, keep)
        headers = [item for item in parts[0]["headers"] if item[0] != b"content-length"]
        body = b"".join(part.get("body", b"") for part in parts[1:])
        return Answer(parts[0]["status"], tuple(headers), body)

    async def start(self, answer: Answer) -> None:
        """Send all of *answer* but its body."""
        length = (b"content-length", str(len(answer.body)).encode())
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [*answer.headers, length],
            }
        )

    async def go_on(self, part: bytes, *, more: bool = True) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": part, "more_body": more})

    async def hang_up(self) -> None:
        """Break the connection off; raises Gone."""
        self._scope["state"]["hang_up"]()
        await self._until_gone()

    async def pause(self, seconds: float | None = None) -> None:
        """Until *seconds* are over or the fault is mended; raises Gone."""
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
        if self._replayed:
            return await self._receive()
        self._replayed = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    def _bearer(self) -> str:
        header = dict(self._scope["headers"]).get(b"authorization", b"").decode("latin-1")
        _, _, rest = unveiled(header.rpartition(" ")[2]).partition(".")
        try:
            claims = urlsafe_b64decode(f"{rest.partition('.')[0]}===")
        except ValueError:
            return ""
        return _text(read_object(claims).get("sub"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
