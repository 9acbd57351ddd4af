"""Accepts the connections of the HTTP server. The event loop does the TLS handshakes."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import structlog

from service.runtime.log import Occasional
from service.runtime.turns import Turns

HANDSHAKE_TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.1
"""Pause after the operating system has run out of resources for connections."""

log = structlog.get_logger()
accept_log = Occasional()


class Acceptor:
    """Accepts connections on *listener*, each served by a protocol that *make* returns.

    *tls* returns the context for the next connection. At most *max_handshakes* are in progress; at
    that limit the oldest is closed. A handshake times out after HANDSHAKE_TIMEOUT_SECONDS.
    """

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol | asyncio.BufferedProtocol],
        turns: Turns,
        *,
        max_handshakes: int,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        self._listener = listener
        self._make = make
        self._turns = turns
        self._max_handshakes = max_handshakes
        self._tls = tls
        self._opening: dict[asyncio.Task[None], None] = {}
        listener.setblocking(False)
        self._task = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Stop accepting, and abort the handshakes in progress."""
        tasks = [self._task, *self._opening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._turns.take()
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except ConnectionError:
                continue  # the client closed it first
            except OSError as error:
                accept_log.error("cannot accept connections", why=error.strerror or "")
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if len(self._opening) >= self._max_handshakes:
                oldest = next(iter(self._opening))
                del self._opening[oldest]
                oldest.cancel()
            task = loop.create_task(self._open(sock))
            self._opening[task] = None
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.pop(task, None)

    async def _open(self, sock: socket.socket) -> None:
        # The loop now owns the socket and closes it in every case. Closing it here could close
        # another connection that has reused its number.
        loop = asyncio.get_running_loop()
        try:
            if self._tls is None:
                await loop.connect_accepted_socket(self._make, sock)
            else:
                await loop.connect_accepted_socket(
                    self._make,
                    sock,
                    ssl=self._tls(),
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_SECONDS,
                )
        except OSError:
            pass  # a TLS error or a time-out, which the client caused
        except Exception as error:
            log.error("connection failed", exc_info=error)
