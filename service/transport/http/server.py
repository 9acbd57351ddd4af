"""The HTTP server: the edge on an address, from its start to its drained end."""

import asyncio
import ssl
from collections.abc import Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from service.transport.http.accept import Acceptor
from service.transport.http.connection import Connections, HttpConnection
from service.transport.http.edge import HttpEdge
from service.transport.listening import PortTaken, listen

BACKLOG = 256
"""Connections that the operating system keeps until they are accepted."""
HEADERS_IN = ("x-api-key", "content-type", "idempotency-key", "x-request-id")
HEADERS_OUT = (
    "x-request-id",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)


class HttpServer:
    """Serves the edge over HTTP/1.1, at most *most_connections* at once, and as many again in their
    TLS handshake.

    *origins* are those whose pages may call it from a browser. *tls* returns the context for the
    next connection; without it the server speaks plain text.
    """

    def __init__(
        self,
        edge: HttpEdge,
        *,
        most_connections: int,
        origins: tuple[str, ...] = (),
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._edge = edge
        self._tls = tls
        application: ASGIApp = edge
        if origins:
            application = CORSMiddleware(
                edge,
                allow_origins=origins,
                allow_methods=("GET", "POST", "DELETE"),
                allow_headers=HEADERS_IN,
                expose_headers=HEADERS_OUT,
            )
        self._connections = Connections(application, most_connections)
        self._acceptor: Acceptor | None = None

    async def start(self, address: str) -> int:
        """Take calls on *address* (HOST:PORT, port 0: any); returns the port. Raises PortTaken."""
        listener = await listen(address)
        try:
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise PortTaken(address) from None
        port = int(listener.getsockname()[1])
        self._acceptor = Acceptor(
            listener,
            lambda: HttpConnection(self._connections),
            self._connections.turns,
            max_handshakes=self._connections.limit,
            tls=self._tls,
        )
        return port

    async def tell_to_go_elsewhere(self) -> None:
        """Answer health checks with 503; calls are still taken."""
        self._edge.going = True

    async def tell_to_come(self) -> None:
        """Answer health checks with 200."""
        self._edge.going = False

    async def stop(self, grace: float) -> None:
        """End, once the calls under way have ended or *grace* seconds are over."""
        if self._acceptor is None:
            return
        await self._acceptor.close()
        tasks = list(self._connections.open.values())
        for connection in list(self._connections.open):
            connection.stop()
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
