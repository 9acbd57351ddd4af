"""Accepting connections of an HTTP server, and their TLS handshakes, by the loop's own means."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import structlog

from service.runtime.log import Occasional
from service.runtime.turns import Turns

HANDSHAKE_TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.1
"""After the operating system had no resources for another connection."""

log = structlog.get_logger()
unaccepted = Occasional()


class Acceptor:
    """Accepts connections on *listener*, each served by a protocol that *make* returns.

    With *tls*, which returns the context for the next connection, at most *max_handshakes* are
    under way; beyond that the oldest is closed. A handshake has HANDSHAKE_TIMEOUT_SECONDS.
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
        """Accept no more, and end the handshakes under way."""
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
                unaccepted.error("cannot accept connections", why=error.strerror or "")
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
        # from here on the loop closes the socket, whatever happens: its number may be another's
        # by the time that we would
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
            pass  # a TLS error or a time-out: the client's fault
        except Exception as error:
            log.error("connection failed", exc_info=error)
