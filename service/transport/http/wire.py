"""The bytes of one HTTP connection: bounded reads, and writes with flow control."""

import asyncio
from typing import cast

READ_BYTES = 8 * 1024
MAX_BUFFERED_BYTES = 16 * 1024
"""At this size reading pauses until the received bytes are consumed."""

MAX_UNREAD_BYTES = 64 * 1024
"""At this size writers wait for the client to read; the system's own buffers do not count."""


class HttpWire(asyncio.BufferedProtocol):
    """A buffer of received bytes and a transport to write to."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        """Whether the input has ended."""
        self.closed = asyncio.Event()
        self._space = bytearray(READ_BYTES)
        self._arrival: asyncio.Future[None] | None = None
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def is_tls(self) -> bool:
        return self.transport.get_extra_info("sslcontext") is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # not paused here: on uvloop a transport starts to read after this method
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(MAX_UNREAD_BYTES)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self.received += memoryview(self._space)[:nbytes]
        if len(self.received) >= MAX_BUFFERED_BYTES:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        return not self.is_tls  # a client that closed its half still reads the response

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.closed.set()
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def more(self) -> bool:
        """Wait for input. Return False at its end."""
        if self.ended:
            return False
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()
        before = len(self.received)
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None
        return len(self.received) > before

    async def written(self, seconds: float) -> None:
        """Wait until the peer has read most of what was written. Abort the connection after
        *seconds*."""
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._writable.wait()
        except TimeoutError:
            self.transport.abort()

    def end_input(self) -> None:
        """End the input, and wake a reader that waits for it."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
