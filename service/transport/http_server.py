"""The HTTP server: the edge, on an address, from its start to its drained end."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable

import uvicorn
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from service.transport.handshake import Handshake, Handshakes
from service.transport.http import HttpEdge
from service.transport.http_connection import LOGGER, Connections, HttpConnection
from service.transport.http_request import LARGEST_HEAD
from service.transport.listening import PortTaken, listen

KEEP_ALIVE_SECONDS = 60
WAITING_TO_BE_TAKEN = 256
HEADERS_IN = ("x-api-key", "content-type", "idempotency-key", "x-request-id")
HEADERS_OUT = (
    "x-request-id",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)


class HttpServer:
    """Serves the edge over HTTP/1.1, at most *most_connections* at once, and beside them as many
    that TLS is being agreed on with.

    *origins* are those whose pages may call it from a browser. Plain text without *tls*, which
    gives what a new connection is agreed on with.
    """

    def __init__(
        self,
        edge: HttpEdge,
        *,
        most_connections: int,
        origins: tuple[str, ...] = (),
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._handshakes = Handshakes(most_connections, tls) if tls else None
        self._edge = edge
        application: ASGIApp = edge
        if origins:
            application = CORSMiddleware(
                edge,
                allow_origins=origins,
                allow_methods=("GET", "POST", "DELETE"),
                allow_headers=HEADERS_IN,
                expose_headers=HEADERS_OUT,
            )
        self._config = uvicorn.Config(
            application,
            interface="asgi3",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
        self._connections = Connections(most_connections)
        self._server: asyncio.Server | None = None

    async def start(self, address: str) -> int:
        """Take calls on *address* (HOST:PORT, port 0: any); returns the port. Raises PortTaken."""
        # below that uvicorn tells what callers do wrong, which is theirs to know
        logging.getLogger(LOGGER).setLevel(logging.ERROR)
        listener = await listen(address)
        self._config.load()
        # not uvicorn's own server, which takes over the process's signals
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._connection, sock=listener, backlog=WAITING_TO_BE_TAKEN
            )
        except OSError:
            listener.close()
            raise PortTaken(address) from None
        return int(listener.getsockname()[1])

    async def tell_to_go_elsewhere(self) -> None:
        """Answer health checks with 503; calls are still taken."""
        self._edge.going = True

    async def tell_to_come(self) -> None:
        """Answer health checks with 200."""
        self._edge.going = False

    async def stop(self, grace: float) -> None:
        """End, once the calls under way have ended or *grace* seconds are over."""
        if self._server is None:
            return
        self._server.close()
        if self._handshakes:
            self._handshakes.close()
        state = self._connections.state
        for connection in list(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while state.connections:
                    self._connections.changed.clear()
                    await self._connections.changed.wait()
        for connection in list(state.connections):
            connection.transport.abort()
        tasks = list(state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _connection(self) -> asyncio.Protocol:
        return Handshake(self._handshakes, self._http) if self._handshakes else self._http()

    def _http(self) -> HttpConnection:
        return HttpConnection(self._config, self._connections)
