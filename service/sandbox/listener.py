"""Listener: an application, served on a port of this machine, in the running event loop."""

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

# the real server's, in seconds
KEEP_ALIVE = 90


class AddressTaken(Exception):
    """An address cannot be listened on; its text is a sentence for the operator."""


class Listener:
    """One start of *application*: HTTP/1.1, without signals, logs or output.

    Its scope's state holds `hang_up`, which breaks the connection off, as a crash would.
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
            timeout_keep_alive=KEEP_ALIVE,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._clock: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, application: ASGIApp, host: str, port: int) -> "Listener":
        """Listen; 0 picks a free port. ValueError off loopback, OSError if the port is taken."""
        if not ip_address(host).is_loopback:
            raise ValueError(f"the sandbox serves loopback addresses only, not {host}")
        listener = cls(application, _listen(host, port))
        # not serve(), which takes over the process's signals; the main loop keeps the Date header
        await listener._server.startup(sockets=[listener._socket])
        listener._clock = asyncio.create_task(listener._server.main_loop())
        return listener

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # a caller who hangs up, and stop(), which cuts the connection before it cancels the call,
        # leave nobody to answer: uvicorn would log either as a crash
        with contextlib.suppress(ClientDisconnect, asyncio.CancelledError):
            await self._application(scope, receive, send)

    async def stop(self) -> None:
        """Close every connection at once, calls under way included."""
        # not shutdown(), which waits for calls under way, and a tenth of a second at the least
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
    """What *address* (HOST:PORT) names; ValueError where it is none."""
    host, _, port = address.rpartition(":")
    return "127.0.0.1" if host == "localhost" else host.strip("[]"), int(port)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named because asyncio sets TCP_NODELAY only then: 40 ms a call, otherwise
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Quiet(H11Protocol):
    """HTTP/1.1 without an access log, whatever handlers the process's loggers have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self.app_state = {**self.app_state, "hang_up": self._hang_up}

    def _hang_up(self) -> None:
        # no time to linger: the caller gets a reset, not an end
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.transport.abort()
