"""The HTTP server: serves the edge on an address, and drains it."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.transport.http.accept import Acceptor
from service.transport.http.connection import Connections, HttpConnection
from service.transport.listening import PortTaken, listen

BACKLOG = 256
"""Connections that the operating system queues until they are accepted."""
REQUEST_HEADERS = ("x-api-key", "content-type", "idempotency-key", "x-request-id")
RESPONSE_HEADERS = (
    "x-request-id",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)


class Edge(Protocol):
    """An application, with health checks that fail while *draining*."""

    draining: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class HttpServer:
    """Serves an edge over HTTP/1.1, on at most *max_connections*, and as many TLS handshakes.

    Pages of *origins* may call it from a browser. *tls* returns the context for the next
    connection; without it the server speaks plain text.
    """

    def __init__(
        self,
        edge: Edge,
        *,
        max_connections: int,
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
                allow_headers=REQUEST_HEADERS,
                expose_headers=RESPONSE_HEADERS,
            )
        self._connections = Connections(application, max_connections)
        self._acceptor: Acceptor | None = None

    async def start(self, address: str) -> int:
        """Accept calls on *address* (HOST:PORT, port 0: any); return the port. Raise PortTaken."""
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

    def set_serving(self, serving: bool) -> None:
        """Answer health checks with 200 or 503; calls are accepted either way."""
        self._edge.draining = not serving

    async def stop(self, grace: float) -> None:
        """Stop when the requests in progress have ended, after *grace* seconds at the latest."""
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
