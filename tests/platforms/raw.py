"""Raw: a server that sends given bytes at a given pace, and counts the requests."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

DEADLINE_SECONDS = 20
"""For a busy machine; nothing waits that long by itself."""


@dataclass(frozen=True)
class Request:
    """A request as it came in; names of headers in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def host(self) -> str:
        return self.values("host")[0].partition(":")[0]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other == name]


class Wire:
    """The server's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.sent = 0

    async def send(self, raw: bytes) -> None:
        """Raises ConnectionError once the client has hung up."""
        self._writer.write(raw)
        await self._writer.drain()
        self.sent += len(raw)

    async def until_hung_up(self) -> None:
        await self._reader.read()

    def end(self) -> None:
        """Send no more; in order, so that what was sent arrives."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        else:
            self._writer.close()

    def hang_up(self) -> None:
        self._writer.transport.abort()


Answer = bytes | Callable[[Wire], Awaitable[None]]


class RawServer:
    """Answers by path, or by host and path; what it does not know is a 404."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.connections = 0
        self.received = 0
        self.requests: list[Request] = []
        self._context = context
        self._answers: dict[str, list[Answer]] = {}
        self._hosts: dict[str, Callable[[Request], Answer]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._arrival = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def started(
        cls,
        context: ssl.SSLContext | None = None,
        port: int = 0,
        addresses: Sequence[str] = ("127.0.0.1",),
    ) -> AsyncIterator[Self]:
        server = cls(context)
        listening = await asyncio.start_server(
            server._accept, addresses, port, ssl=server._context, backlog=512
        )
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            listening.close()
            for call in server._calls:
                call.cancel()
            await asyncio.gather(*server._calls, return_exceptions=True)
            await listening.wait_closed()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, where: str, *answers: Answer) -> None:
        """Answer requests to *where* (a path, or a host and a path) with *answers* in turn."""
        self._answers[where] = list(answers)

    def serve(self, host: str, answer: Callable[[Request], Answer]) -> None:
        """Answer requests to *host* with *answer*, except those that `on` answers."""
        self._hosts[host] = answer

    def times(self, path: str) -> int:
        """Return the number of calls of *path*."""
        return sum(request.path == path for request in self.requests)

    async def called(self, path: str, times: int = 1) -> None:
        """Wait until *path* was called *times* times."""
        async with asyncio.timeout(DEADLINE_SECONDS), self._arrival:
            await self._arrival.wait_for(lambda: self.times(path) >= times)

    @asynccontextmanager
    async def deadline_once_called(self, path: str, seconds: float = 0.1) -> AsyncIterator[None]:
        """A deadline for the block: *seconds* after *path* is called in it."""
        loop = asyncio.get_running_loop()
        before = self.times(path)
        async with asyncio.timeout(None) as deadline:

            async def start() -> None:
                await self.called(path, before + 1)
                deadline.reschedule(loop.time() + seconds)

            starting = asyncio.create_task(start())
            try:
                yield
            finally:
                starting.cancel()

    async def all_hung_up(self) -> None:
        """Until no client holds a connection."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while self._calls:
                await asyncio.wait(self._calls)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        call = asyncio.create_task(self._serve(reader, writer))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while True:
                    request = await self._read(reader)
                    self.requests.append(request)
                    async with self._arrival:
                        self._arrival.notify_all()
                    answer = self._answer(request)
                    if isinstance(answer, bytes):
                        await wire.send(answer)
                    else:
                        await answer(wire)
        finally:
            wire.hang_up()

    def _answer(self, request: Request) -> Answer:
        for where in (f"{request.host}{request.path}", request.path):
            if answers := self._answers.get(where):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        if (answer := self._hosts.get(request.host)) is not None:
            return answer(request)
        return respond(b"no such page", 404)

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = tuple(
            (name.lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines)
        )
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        body = await reader.readexactly(length)
        self.received += len(head) + len(body)
        return Request(method, target, headers, body)


def respond(body: object = b"", status: int = 200, **headers: str) -> bytes:
    """A whole answer; what is not bytes or text is sent as JSON. *headers* win over ours."""
    kind = "text/html" if isinstance(body, (bytes, str)) else "application/json"
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return head(status, content_length=str(len(body)), **{"content_type": kind, **headers}) + body


def head(status: int = 200, **headers: str) -> bytes:
    """The status line and the headers, with underscores in their names made hyphens."""
    lines = [f"HTTP/1.1 {status} X"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def endless(start: bytes, piece: bytes) -> Callable[[Wire], Awaitable[None]]:
    """*start*, then *piece* again and again, as fast as the client takes it."""

    async def answer(wire: Wire) -> None:
        await wire.send(start)
        while True:
            await wire.send(piece)
            await asyncio.sleep(0)

    return answer


def drip(start: bytes, piece: bytes, seconds: float) -> Callable[[Wire], Awaitable[None]]:
    """Send *start*, then *piece* every *seconds*, until the client disconnects."""

    async def answer(wire: Wire) -> None:
        await wire.send(start)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wire.until_hung_up(), seconds)
                return
            await wire.send(piece)

    return answer


def hang(start: bytes = b"") -> Callable[[Wire], Awaitable[None]]:
    """Send *start*, and then nothing, until the client disconnects."""

    async def answer(wire: Wire) -> None:
        await wire.send(start)
        await wire.until_hung_up()

    return answer


def close_after(start: bytes) -> Callable[[Wire], Awaitable[None]]:
    """*start*, and the connection is closed."""

    async def answer(wire: Wire) -> None:
        await wire.send(start)
        wire.end()
        await wire.until_hung_up()

    return answer
