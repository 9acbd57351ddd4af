"""Listener: serves an ASGI application on a loopback port, in the running event loop."""

import asyncio
import contextlib
import socket
import struct
from ipaddress import ip_address
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

KEEP_ALIVE_SECONDS = 90
"""As the real server."""


class AddressTaken(Exception):
    """The address is in use. The text is a sentence for the operator."""


class Listener:
    """Serves *application* over HTTP/1.1, without signals, logs or output.

    The scope's state has `reset`, which resets the connection, as a crash does.
    """

    def __init__(self, application: ASGIApp, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        self.port: int = port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._socket = listening
        self._application = application
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http=_Quiet,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._clock: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, application: ASGIApp, host: str, port: int) -> "Listener":
        """Listen. Port 0: any free one. Raises ValueError off loopback, and OSError if taken."""
        if not ip_address(host).is_loopback:
            raise ValueError(f"the sandbox serves loopback addresses only, not {host}")
        listener = cls(application, _listen(host, port))
        # not serve(), which installs signal handlers; the main loop updates the Date header
        await listener._server.startup(sockets=[listener._socket])
        listener._clock = asyncio.create_task(listener._server.main_loop())
        return listener

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # the caller disconnected, or stop() aborted the connection and cancelled the call; uvicorn
        # logs either as a crash
        with contextlib.suppress(ClientDisconnect, asyncio.CancelledError):
            await self._application(scope, receive, send)

    async def stop(self) -> None:
        """Close every connection at once, with calls in progress."""
        # not shutdown(), which waits for calls in progress, and at least 0.1 s
        for listening in self._server.servers:
            listening.close()
        state = self._server.server_state
        for connection in list(state.connections):
            connection.transport.abort()
        while state.connections:  # noqa: ASYNC110 (a lost connection sets no event)
            await asyncio.sleep(0)
        tasks = [*state.tasks, *([self._clock] if self._clock else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def host_and_port(address: str) -> tuple[str, int]:
    """Split *address* (HOST:PORT); raise ValueError if it is invalid."""
    host, _, port = address.rpartition(":")
    return "127.0.0.1" if host == "localhost" else host.strip("[]"), int(port)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is given: without it, calls take 40 ms more
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Quiet(H11Protocol):
    """HTTP/1.1 without an access log, even if the process's loggers have handlers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self.app_state = {**self.app_state, "reset": self._reset}

    def _reset(self) -> None:
        # linger 0: the close sends RST and not FIN
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.transport.abort()
