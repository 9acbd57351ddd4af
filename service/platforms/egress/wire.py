"""Wire: connections that bring a little at a time, and for each request no more than is its due.

What a server may send before its answer, hints without end among it, and around it, is bounded by
bytes; and whoever else has work gets a turn between a few reads.
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.runtime.turns import Turns

MOST_HEAD_BYTES = 32 * 1024
"""Until the head of an answer is whole, all that comes before it included."""
READ_BYTES = 4096
CERTIFICATE_FAULTS = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    18: "certificate_not_trusted",
    19: "certificate_not_trusted",
    20: "certificate_not_trusted",
    21: "certificate_not_trusted",
    62: "certificate_of_another_name",
}
"""By OpenSSL's codes."""
READS_A_TURN = 2
"""Of all connections, in one turn of the event loop: what is here already comes without a pause."""
SOCKET_OPTIONS = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024),)
"""What is here but not yet read: the event loop takes all of it at once, else some megabytes."""


class Wire(httpcore.AsyncNetworkStream):
    """A connection; `left` is how many bytes may come yet, and each request begins anew."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, turns: Turns) -> None:
        self._stream = stream
        self._turns = turns
        self.left = MOST_HEAD_BYTES

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
        self.left = MOST_HEAD_BYTES
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
            if why := _tls_fault(error):
                # a certificate does not mend by itself
                wait = 30 if why == "tls" else None
                raise PlatformUnavailable(
                    PlatformUnavailableCause.TLS_FAILURE, why, retry_after=wait
                ) from None
            raise
        return Wire(secured, self._turns)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Wires(httpcore.AsyncNetworkBackend):
    """Makes the connections of *backend* such."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend
        self._turns = Turns(READS_A_TURN)

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


def _tls_fault(error: BaseException) -> str:
    """A word on why a TLS handshake failed; none, where it was the connection that failed."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CERTIFICATE_FAULTS.get(cause.verify_code, "certificate")
    return "tls" if isinstance(cause, ssl.SSLError) else ""
