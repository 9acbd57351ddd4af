"""Wire: caps the bytes that a server may send per response, and yields between reads.

The cap includes headers, 1xx responses and chunk headers. Yielding keeps one flooding server from
starving the event loop.
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.runtime.turns import Turns

MAX_HEAD_BYTES = 32 * 1024
"""All bytes up to the end of a response's headers, 1xx responses included."""
READ_BYTES = 4096
CERTIFICATE_ERRORS = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    18: "certificate_not_trusted",
    19: "certificate_not_trusted",
    20: "certificate_not_trusted",
    21: "certificate_not_trusted",
    62: "certificate_of_another_name",
}
"""By OpenSSL's verification codes."""
READS_PER_TURN = 2
"""Reads of all connections in one turn of the event loop: reads of buffered data never yield."""
SOCKET_OPTIONS = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024),)
"""Caps unread data: asyncio receives all of it at once, which is megabytes by default."""


class Wire(httpcore.AsyncNetworkStream):
    """A connection. *left* is how many more bytes it may receive; each request resets it."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, turns: Turns) -> None:
        self._stream = stream
        self._turns = turns
        self.left = MAX_HEAD_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self.left <= 0:
            raise PlatformUnavailable(
                PlatformUnavailableCause.UNEXPECTED_ANSWER, "too_large", retry_after=None
            )
        raw = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        self.left -= len(raw)
        await self._turns.take()
        return raw

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self.left = MAX_HEAD_BYTES
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        try:
            secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except httpcore.ConnectError as error:
            if why := _tls_error(error):
                # waiting does not repair a certificate
                wait = 30 if why == "tls" else None
                raise PlatformUnavailable(
                    PlatformUnavailableCause.TLS_FAILURE, why, retry_after=wait
                ) from None
            raise
        return Wire(secured, self._turns)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Wires(httpcore.AsyncNetworkBackend):
    """Wraps each connection of *backend* in a Wire."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend
        self._turns = Turns(READS_PER_TURN)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, SOCKET_OPTIONS)
        return Wire(stream, self._turns)


def _tls_error(error: BaseException) -> str:
    """Return a word on why a TLS handshake failed; empty if the connection failed instead."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CERTIFICATE_ERRORS.get(cause.verify_code, "certificate")
    return "tls" if isinstance(cause, ssl.SSLError) else ""
