"""Receiver: a real HTTP server on 127.0.0.1 that webhooks are sent to, and that can misbehave."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self

from standardwebhooks import Webhook

from service.domain.clock import SystemClock
from service.domain.model import Connection, ConnectionState, EventKind
from service.storage.engine import Transaction
from service.storage.events import add_event
from tests.support.engines import opened

CONNECTION = Connection(
    "bluesky",
    "did:plc:one",
    "one.example",
    "One",
    ConnectionState.UNVERIFIED,
    None,
    connected_at=1_760_000_000_000_000,
    last_verified_at=1_760_000_000_000_000,
    next_check_at=None,
)
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Message:
    """A request as it came: headers by lower-case name, and the body."""

    headers: dict[str, str]
    body: str
    at: float = field(default_factory=monotonic)

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """Return the body, verified by the public library."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return found

    async def sent_to(self, port: int) -> int:
        """Send it again to a receiver on this machine; return the status of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            lines = (f"{name}: {value}\r\n" for name, value in self.headers.items())
            writer.write(f"POST /in HTTP/1.1\r\n{''.join(lines)}\r\n{self.body}".encode())
            async with asyncio.timeout(WAIT_SECONDS):
                return int((await reader.readline()).split()[1])
        finally:
            writer.close()


Write = Callable[[bytes], Awaitable[None]]
Answer = Callable[[Message, Write], Awaitable[None]]


def status(code: int, *headers: str) -> Answer:
    """Answer with a status."""
    lines = "".join(f"{header}\r\n" for header in headers)

    async def answer(_: Message, write: Write) -> None:
        await write(f"HTTP/1.1 {code} x\r\ncontent-length: 0\r\n{lines}\r\n".encode())

    return answer


OK = status(204)


async def hang(_: Message, __: Write) -> None:
    """Answer nothing."""
    await asyncio.Event().wait()


async def drip(_: Message, write: Write) -> None:
    """Send a byte of a header every tenth of a second, for ever."""
    await write(b"HTTP/1.1 200 x\r\nx: ")
    while True:
        await write(b"x")
        await asyncio.sleep(0.1)


async def flood(_: Message, write: Write) -> None:
    """Send a body that is longer than anybody reads."""
    await write(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n")
    for _chunk in range(4096):
        await write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await asyncio.sleep(0)


class Receiver:
    """Takes messages, notes them, and answers as *answer* says."""

    def __init__(self, answer: Answer = OK, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._port = 0
        self.answer = answer
        self.messages: list[Message] = []
        """All requests, in the order in which they came."""
        self.accepted: list[Message] = []
        """Those that were answered."""
        self._came = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.origin = ""

    @classmethod
    @asynccontextmanager
    async def started(
        cls, answer: Answer = OK, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        receiver = cls(answer, tls)
        await receiver.open()
        try:
            yield receiver
        finally:
            await receiver.stop()

    async def open(self) -> None:
        """Listen, at the same port as before; no-op if it does."""
        if self._server is not None:
            return
        self._server = await asyncio.start_server(
            self._take, "127.0.0.1", self._port, ssl=self._tls
        )
        self._port = self._server.sockets[0].getsockname()[1]
        self.origin = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    async def drop(self) -> None:
        """Close all connections; take new ones."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def until(self, count: int, *, accepted: bool = True) -> list[Message]:
        """Wait for *count* messages, and return all that came."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.accepted if accepted else self.messages) < count:
                self._came.clear()
                await self._came.wait()
        return self.accepted if accepted else self.messages

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        async def write(part: bytes) -> None:
            writer.write(part)
            await writer.drain()

        with suppress(OSError, RuntimeError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
                pairs = (line.partition(":") for line in head if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                message = Message(headers, body.decode())
                self.messages.append(message)
                self._came.set()
                answer = self.answer
                await answer(message, write)
                if answer is OK:
                    self.accepted.append(message)
                    self._came.set()
        writer.close()


async def write_events(database_url: str, tenant_id: str, profiles: list[str]) -> None:
    """Write one event for each of *profiles*, as a process beside the service does."""
    engine = await opened(database_url)
    try:
        for profile in profiles:

            async def job(transaction: Transaction, profile: str = profile) -> None:
                kind, at = EventKind.UNVERIFIED, SystemClock().now()
                await add_event(transaction, tenant_id, profile, kind, CONNECTION, at)

            await engine.write(job)
    finally:
        await engine.close()
