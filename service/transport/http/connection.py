"""HTTP connections: serve requests one by one, with limits on time and on their number."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import h11
import structlog
from starlette.types import ASGIApp, Message

from service.domain.errors import InvalidRequest, ServiceError, ServiceUnavailable
from service.runtime.turns import Turns
from service.transport.boundary import request_id
from service.transport.http.edge import common_headers, error_response
from service.transport.http.exchange import SEND_SECONDS, HttpExchange
from service.transport.http.head import end_of_head
from service.transport.http.request import READ_SECONDS
from service.transport.http.wire import HttpWire

KEEP_ALIVE_SECONDS = 60.0
"""Time-out from a response to the first byte of the next request."""
LINGER_SECONDS = 1.0
"""Time for a client to read the last response. Closing while the client sends discards it."""
TLS_CLOSE_SECONDS = 5.0
"""Time for a client to read the rest of the last response and to close TLS, after a whole request.
After an incomplete request, LINGER_SECONDS applies."""
BACKLOG_PAUSE_SECONDS = 0.001
"""Pause before each parse step of a connection with a backlog (pipelined requests or many small
chunks). Only one connection pauses at a time, which limits the processor time of all backlogs."""
PARSE_STEPS_PER_TURN = 2
"""Steps of parsing per iteration of the event loop, for all connections together. A step takes at
most about 0.5 ms."""
MAX_DISCARDED_BYTES = 16 * 1024 * 1024

log = structlog.get_logger()


@dataclass
class Connections:
    """The open connections to *application*: at most *limit*, and one that is being rejected."""

    application: ASGIApp
    limit: int
    turns: Turns = field(default_factory=lambda: Turns(PARSE_STEPS_PER_TURN))
    backlog: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the connection that pauses before it parses input that was sent ahead."""
    open: "dict[HttpConnection, asyncio.Task[None]]" = field(default_factory=dict)
    waiting: "dict[HttpConnection, None]" = field(default_factory=dict)
    """Connections without a complete request, the longest-idle first."""
    unread: "dict[HttpConnection, None]" = field(default_factory=dict)
    """Connections whose client does not read its responses, the longest-stalled first."""

    def make_room(self) -> bool:
        """At the limit, abort the oldest connection: first one without a complete request, then
        one whose client does not read its response.

        Never aborts another connection. Returns False if the limit is still reached.
        """
        while len(self.open) >= self.limit and (oldest := self._oldest()):
            oldest.abort()
        return len(self.open) < self.limit

    def _oldest(self) -> "HttpConnection | None":
        return next(iter(self.waiting), None) or next(iter(self.unread), None)

    def remove(self, connection: "HttpConnection") -> None:
        for known in (self.open, self.waiting, self.unread):
            known.pop(connection, None)


class HttpConnection(HttpWire):
    """Serves HTTP/1.1 with deadlines. Every error is JSON."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._all = connections
        self._is_stopping = False
        self._has_backlog = False
        self._exchange: HttpExchange | None = None
        self._read_deadline = asyncio.get_running_loop().time() + READ_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        is_admitted = self._all.make_room()
        self._all.open[self] = asyncio.create_task(self._run(is_admitted))
        self._all.waiting[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._all.unread[self] = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._all.unread.pop(self, None)

    def abort(self) -> None:
        """Close at once, and stop counting towards the limit."""
        self._all.remove(self)
        self.transport.abort()

    def stop(self) -> None:
        """Close after the response to the request in progress, if there is one."""
        self._is_stopping = True
        if self._exchange is not None:
            self._exchange.is_last = True
        else:
            self.end_input()

    async def _run(self, is_admitted: bool) -> None:
        try:
            if is_admitted:
                await self._serve()
                await self._finish()
            else:
                await self._reject(ServiceUnavailable("connections"))
        except InvalidRequest as error:
            await self._reject(error)
        except TimeoutError:
            pass  # the rest of a request did not arrive
        except Exception as error:
            log.error("connection failed", exc_info=error)
        finally:
            self.abort()

    async def _serve(self) -> None:
        """Serve requests until the client, a limit or `stop` ends them."""
        while not self._is_stopping and (head := await self._head()):
            await self._turn(self._has_backlog)
            if self.transport.is_closing():
                return
            self._exchange = exchange = HttpExchange(self, self._turn, head)
            self._all.waiting.pop(self, None)
            scope = exchange.scope({"read_deadline": self._read_deadline})
            await self._all.application(scope, self._receive, exchange.send)
            if exchange.is_last or not exchange.keeps_alive:
                return
            self._exchange = None
            self._all.waiting[self] = None
            self._read_deadline = 0.0
            self._has_backlog = bool(self.received)

    async def _turn(self, has_backlog: bool) -> None:
        """Wait for a step of parsing; pause first if the input was sent ahead."""
        if has_backlog:
            async with self._all.backlog:
                if not self.closed.is_set():
                    await asyncio.sleep(BACKLOG_PAUSE_SECONDS)
        await self._all.turns.take()

    async def _head(self) -> bytes:
        """Return the next head; empty at the end. Raise InvalidRequest or TimeoutError."""
        loop = asyncio.get_running_loop()
        if not self._read_deadline:
            if not self.received:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await self.more()
                if not self.received:
                    return b""
            self._read_deadline = loop.time() + READ_SECONDS
        checked = 0
        async with asyncio.timeout_at(self._read_deadline):
            while not (length := end_of_head(self.received, checked)):
                checked = len(self.received)
                if not await self.more():
                    return b""
        head = bytes(self.received[:length])
        del self.received[:length]
        return head

    async def _receive(self) -> Message:
        exchange = self._exchange
        assert exchange is not None
        if not exchange.is_whole:
            self._all.waiting[self] = None
        message = await exchange.receive()
        if exchange.is_whole:
            self._all.waiting.pop(self, None)
        return message

    async def _reject(self, error: ServiceError) -> None:
        """Answer without the application, and close."""
        headers = {"connection": "close", **common_headers(request_id(None))}
        response = error_response(error, headers)
        http = h11.Connection(h11.SERVER)
        for event in (
            h11.Response(status_code=response.status_code, headers=response.raw_headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(http.send(event) or b"")
        await self._finish()

    async def _finish(self) -> None:
        """Let the client read the last response. Input is discarded, not parsed."""
        if self.transport.is_closing():
            return
        self._all.waiting[self] = None
        if self.is_tls:
            # TLS flushes the buffer and discards input in its closing handshake
            self.transport.close()
            is_whole = self._exchange is not None and self._exchange.is_whole
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TLS_CLOSE_SECONDS if is_whole else LINGER_SECONDS):
                    await self.closed.wait()
            return
        self.transport.set_write_buffer_limits(high=0)
        await self.written(SEND_SECONDS)
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        left = MAX_DISCARDED_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0 and await self.more():
                    left -= len(self.received)
                    self.received.clear()
