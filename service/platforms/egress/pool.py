"""Pool: the connections for one kind of outbound request, with limits on each response."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import httpcore

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.platforms.egress.addresses import is_public
from service.platforms.egress.dns import NameNotPublic, Resolver
from service.platforms.egress.origin import Origin
from service.platforms.egress.race import first_connection
from service.platforms.egress.wire import SOCKET_OPTIONS, Wires

MAX_BODY_BYTES = 128 * 1024
MAX_ANNOUNCED_BYTES = 512 * 1024
"""A response with a larger Content-Length is rejected before its body is read. Up to this size the
body is read to MAX_BODY_BYTES, since that part may contain a session to end."""
LARGE_BODY_BYTES = 64 * 1024
MAX_LARGE_BODIES = 8
"""Bodies over LARGE_BODY_BYTES that are read at the same time. Honest servers send none."""
PREFIX_BYTES = 8 * 1024
MAX_PIECES = 2048
"""Pieces that a body may arrive in. Each costs some microseconds, even a piece of one byte."""
PIECES_PER_TURN = 64
CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
"""Time limit of one read or one write. The caller sets the deadline of the whole request."""
KEEP_IDLE_SECONDS = 4.0
"""Node's servers close idle connections after 5 s; the pool closes them first. A login that is sent
on a closed connection fails, because it is never resent."""
MAX_IDLE_CONNECTIONS = 50
MAX_CONNECTIONS = 200
MAX_CONNECTIONS_PER_ORIGIN = 150
"""Less than MAX_CONNECTIONS: one server that hangs cannot use up the pool."""

Header = tuple[bytes, bytes]
Dial = Callable[[str, int, float], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]


async def dial(address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
    """Connect to an address that was checked."""
    return await httpcore.AnyIOBackend().connect_tcp(
        address, port, timeout=seconds, socket_options=SOCKET_OPTIONS
    )


@dataclass(slots=True)
class Received:
    """The part of a response that has arrived. *status* is 0 until the headers have arrived."""

    status: int = 0
    headers: list[Header] = field(default_factory=list, repr=False)
    body: bytearray = field(default_factory=bytearray, repr=False)


class Pool(httpcore.AsyncConnectionPool):
    """A connection pool that limits connections per origin and the size of responses."""

    def __init__(self, context: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        super().__init__(
            ssl_context=context,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=KEEP_IDLE_SECONDS,
            network_backend=Wires(backend),
        )
        # weak: an entry exists only while a request to that origin runs or waits
        self._slots: WeakValueDictionary[Origin, asyncio.Semaphore] = WeakValueDictionary()
        self._large = asyncio.Semaphore(MAX_LARGE_BODIES)

    async def exchange(
        self,
        origin: Origin,
        request: httpcore.Request,
        received: Received,
        *,
        prefix_only: bool,
        takes_redirects: bool,
    ) -> None:
        """Send *request* to *origin* and write the response to *received* as it arrives.

        *prefix_only*: read only the first 8 KiB of the body. *takes_redirects*: return a redirect;
        otherwise it is an error. Raises PlatformUnavailable or NameNotFound.
        """
        request.extensions["timeout"] = {
            "connect": CONNECT_SECONDS,
            "read": READ_SECONDS,
            "write": READ_SECONDS,
            "pool": CONNECT_SECONDS,
        }
        slots = self._slots.setdefault(origin, asyncio.Semaphore(MAX_CONNECTIONS_PER_ORIGIN))
        try:
            async with _slot(slots, "host_busy"):
                response = await self.handle_async_request(request)
                try:
                    received.status, received.headers = response.status, response.headers
                    _check_head(response, prefix_only, takes_redirects)
                    await self._read_body(response, received.body, prefix_only)
                finally:
                    await response.aclose()
        except httpcore.TimeoutException:
            raise PlatformUnavailable(PlatformUnavailableCause.TIMEOUT, "timeout") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise PlatformUnavailable(_cause(error), type(error).__name__) from None

    async def _read_body(
        self, response: httpcore.Response, body: bytearray, prefix_only: bool
    ) -> None:
        """Append the response's body to *body*, or the first 8 KiB of it if *prefix_only*.

        Raises PlatformUnavailable at a limit.
        """
        # twice the limit of the body: the chunk headers may be as large as the body
        response.extensions["network_stream"].left = 2 * MAX_BODY_BYTES
        pieces = 0
        async with AsyncExitStack() as large:
            async for piece in response.aiter_stream():
                if len(body) <= LARGE_BODY_BYTES < len(body) + len(piece):
                    await large.enter_async_context(_slot(self._large, "busy"))
                body += piece
                pieces += 1
                if prefix_only and len(body) >= PREFIX_BYTES:
                    del body[PREFIX_BYTES:]
                    return
                if len(body) > MAX_BODY_BYTES or pieces > MAX_PIECES:
                    raise PlatformUnavailable(
                        PlatformUnavailableCause.UNEXPECTED_ANSWER, "too_large", retry_after=None
                    )
                if pieces % PIECES_PER_TURN == 0:
                    await asyncio.sleep(0)  # reading buffered pieces never yields


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves each host and connects only if all of its addresses are public."""

    def __init__(self, names: Resolver, dial: Dial) -> None:
        self._names = names
        self._dial = dial

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # for every host alike: the time it takes reveals nothing about the host's addresses
        nat64 = await self._names.nat64()
        addresses = await self._names.addresses(host)
        if not all(is_public(address, nat64) for address in addresses):
            raise NameNotPublic(host)

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._dial(address, port, timeout or CONNECT_SECONDS)

        return await first_connection(addresses, connect)


@asynccontextmanager
async def _slot(slots: asyncio.Semaphore, why: str) -> AsyncIterator[None]:
    """Hold one of *slots* for the block; raise PlatformUnavailable if none is free in time."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await slots.acquire()
    except TimeoutError:
        raise PlatformUnavailable(PlatformUnavailableCause.BUSY, why) from None
    try:
        yield
    finally:
        slots.release()


def _cause(error: Exception) -> PlatformUnavailableCause:
    if isinstance(error.__cause__, socket.gaierror):
        return PlatformUnavailableCause.DNS_FAILURE  # of a trusted host: the system resolves those
    # httpcore reports a connection that closes before a response as a protocol error
    if isinstance(error, httpcore.ProtocolError) and "disconnected" not in str(error):
        return PlatformUnavailableCause.UNEXPECTED_ANSWER
    return PlatformUnavailableCause.SERVER_UNREACHABLE


def _check_head(response: httpcore.Response, prefix_only: bool, takes_redirects: bool) -> None:
    """Raise PlatformUnavailable for a compressed body, one announced too large, and a redirect
    unless *takes_redirects*."""
    why = ""
    if 300 <= response.status < 400 and not takes_redirects:
        why = "redirect"
    for name, value in response.headers:
        if name.lower() == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            why = why or "encoded"
        if name.lower() == b"content-length" and not prefix_only:
            why = why or ("too_large" if int(value) > MAX_ANNOUNCED_BYTES else "")
    if why:
        raise PlatformUnavailable(PlatformUnavailableCause.UNEXPECTED_ANSWER, why, retry_after=None)
