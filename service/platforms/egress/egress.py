"""Egress: the one way out, guarded.

One operation talks to one origin. https on port 443, to an address that was checked to be public
and is the very one connected to; no redirect, no cookie, no compressed answer, no proxy, at most
128 KiB. What the operator trusts is free of the rules on scheme, port and address, and of no other.
Where nothing secret is sent, an answer may be sought at up to three redirects, each under the same
rules.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import certifi
import httpcore
import httpx

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.platforms.egress.addresses import is_public
from service.platforms.egress.dns import NameNotPublic, Resolver
from service.platforms.egress.origin import Origin
from service.platforms.egress.race import first_connection
from service.platforms.egress.wire import SOCKET_OPTIONS, Wires

MOST_BYTES = 128 * 1024
MOST_TOLD_BYTES = 512 * 1024
"""Of an answer that says that it is longer, nothing is read."""
LARGE_BYTES = 64 * 1024
LARGE_AT_ONCE = 8
"""No answer that means us well is as large: a few at once are enough, and all that is held then."""
BEGINNING_BYTES = 8 * 1024
MOST_REDIRECTS = 3
REDIRECTS = frozenset((301, 302, 303, 307, 308))
MOST_PIECES = 2048
"""That an answer may come in. Each takes some microseconds, a piece of one byte, too."""
PIECES_AT_ONCE = 64
CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
"""Between two reads; the deadline of the whole operation is its caller's."""
KEEP_IDLE_SECONDS = 4.0
"""Less than the five after which Node's servers hang up: a login is never sent twice."""
MOST_CONNECTIONS = 200
MOST_AT_ONE_HOST = 150
"""A server that hangs, however many accounts it has, leaves the rest for the others."""


Answer = httpx.Response
Dial = Callable[[str, int, float], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]


async def dial(address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
    """A connection to an address that was checked."""
    return await httpcore.AnyIOBackend().connect_tcp(
        address, port, timeout=seconds, socket_options=SOCKET_OPTIONS
    )


@dataclass(frozen=True, slots=True)
class Roots:
    """Files with root certificates, in PEM, besides the public ones.

    *private* vouch for trusted origins alone, and for none in *public*. *proxy* vouch for every
    origin: they are those of a proxy that opens TLS.
    """

    private: Path | None = None
    proxy: Path | None = None
    public: frozenset[Origin] = frozenset()


class Egress:
    """Hands out transports and answers.

    Every failure is PlatformUnavailable, with a word on why, but for a host whose name does not
    exist or leads to an address that is not public: that is NameNotFound.

    *dial* opens connections; tests stand in for the internet there, behind the address check.
    Raises OSError where a file of *roots* cannot be read or holds no certificates.
    """

    def __init__(self, names: Resolver, roots: Roots = Roots(), dial: Dial = dial) -> None:
        context = _context(roots.proxy)
        private = context if roots.private is None else _context(roots.proxy, roots.private)
        # pools of their own, so that a connection made for a trusted role is never used for
        # anybody's document that names the same origin
        self._guarded = _Pool(context, _CheckedBackend(names, dial))
        self._trusted = _Pool(private, httpcore.AnyIOBackend())
        self._public = _Pool(context, httpcore.AnyIOBackend())
        self._roots = roots

    def transport(self, origin: Origin, *, trusted: bool = False) -> "OneOrigin":
        """A transport for httpx that reaches *origin* and nothing else.

        Raises PlatformUnavailable where *origin* may not be reached at all.
        """
        if not trusted and not origin.is_public_https:
            raise PlatformUnavailable(
                PlatformUnavailableCause.ADDRESS_NOT_ALLOWED, "forbidden_origin", retry_after=None
            )
        if not trusted:
            return OneOrigin(self._guarded, origin)
        return OneOrigin(self._public if origin in self._roots.public else self._trusted, origin)

    async def get(
        self,
        origin: Origin,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        trusted: bool = False,
    ) -> Answer:
        """The answer to a GET, whatever its status, read whole."""
        transport = self.transport(origin, trusted=trusted)
        url = httpx.URL(f"{origin}{path}")
        return await _get(transport, url.copy_merge_params(params) if params else url)

    async def beginning(self, origin: Origin, path: str) -> Answer:
        """The first 8 KiB of the answer to a GET, found by at most three redirects.

        For questions that carry nothing secret.
        """
        url = httpx.URL(f"{origin}{path}")
        for _ in range(MOST_REDIRECTS + 1):
            transport = self.transport(_origin(url))
            transport.beginning = True
            answer = await _get(transport, url)
            location = answer.headers.get("location")
            if answer.status_code not in REDIRECTS or location is None:
                return answer
            try:
                url = url.join(location)
            except (httpx.InvalidURL, ValueError):
                break
        raise PlatformUnavailable(
            PlatformUnavailableCause.UNEXPECTED_ANSWER, "redirect", retry_after=None
        )

    async def close(self) -> None:
        for pool in (self._guarded, self._trusted, self._public):
            await pool.aclose()


async def _get(transport: "OneOrigin", url: httpx.URL) -> Answer:
    # httpx would decode an xn-- host to write this header, and fails on an emoji's
    host = str(transport.origin).partition("://")[2]
    headers = {"host": host, "user-agent": "postcore", "accept": "application/json, */*;q=0.5"}
    return await transport.handle_async_request(httpx.Request("GET", url, headers=headers))


def _origin(url: httpx.URL) -> Origin:
    """Where *url* leads, without its path; raises PlatformUnavailable."""
    if url.userinfo:
        raise PlatformUnavailable(
            PlatformUnavailableCause.ADDRESS_NOT_ALLOWED, "redirect", retry_after=None
        )
    port = url.port if url.port is not None else (443 if url.scheme == "https" else 80)
    # raw: httpx's plain host is the decoded form of an xn-- name
    return Origin(url.scheme, url.raw_host.decode(), port)


def _context(*more: Path | None) -> ssl.SSLContext:
    """Believes the public roots and those in the files *more*; raises OSError."""
    context = ssl.create_default_context(cafile=certifi.where())
    for file in filter(None, more):
        context.load_verify_locations(file)
    return context


class _Pool(httpcore.AsyncConnectionPool):
    """Connections for all operations of a kind, of which one origin has a part at most."""

    def __init__(self, context: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        super().__init__(
            ssl_context=context,
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=50,
            keepalive_expiry=KEEP_IDLE_SECONDS,
            network_backend=Wires(backend),
        )
        # weak: each is there for as long as somebody is at that origin, or waits for it
        self._turns: WeakValueDictionary[Origin, asyncio.Semaphore] = WeakValueDictionary()
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    @asynccontextmanager
    async def turn(self, origin: Origin) -> AsyncIterator[None]:
        """A place at *origin*; raises PlatformUnavailable where none gets free in time."""
        turns = self._turns.setdefault(origin, asyncio.Semaphore(MOST_AT_ONE_HOST))
        async with _place(turns, "host_busy"):
            yield

    async def read(self, answer: httpcore.Response, body: bytearray, beginning: bool) -> None:
        """Add the answer's body, or its *beginning*, to *body*; raises PlatformUnavailable where it
        is none that is taken."""
        _check_head(answer, beginning)
        # pieces that are smaller than what surrounds them make no sense
        answer.extensions["network_stream"].left = 2 * MOST_BYTES
        pieces = 0
        async with AsyncExitStack() as large:
            async for piece in answer.aiter_stream():
                if len(body) <= LARGE_BYTES < len(body) + len(piece):
                    await large.enter_async_context(_place(self._large, "busy"))
                body += piece
                pieces += 1
                if beginning and len(body) >= BEGINNING_BYTES:
                    del body[BEGINNING_BYTES:]
                    return
                if len(body) > MOST_BYTES or pieces > MOST_PIECES:
                    raise PlatformUnavailable(
                        PlatformUnavailableCause.UNEXPECTED_ANSWER, "too_large", retry_after=None
                    )
                if pieces % PIECES_AT_ONCE == 0:
                    await asyncio.sleep(0)  # what is here already would come without a pause


@asynccontextmanager
async def _place(places: asyncio.Semaphore, why: str) -> AsyncIterator[None]:
    """One of *places*, for the block; raises PlatformUnavailable where none gets free in time."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await places.acquire()
    except TimeoutError:
        raise PlatformUnavailable(PlatformUnavailableCause.BUSY, why) from None
    try:
        yield
    finally:
        places.release()


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were looked up and checked here, just before."""

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
        # for every host alike: the time that it takes tells nothing of the host's addresses
        nat64 = await self._names.nat64()
        addresses = await self._names.addresses(host)
        if not all(is_public(address, nat64) for address in addresses):
            raise NameNotPublic(host)

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._dial(address, port, timeout or CONNECT_SECONDS)

        return await first_connection(addresses, connect)


class OneOrigin(httpx.AsyncBaseTransport):
    """What httpx, and the SDK upon it, send their requests through."""

    def __init__(self, pool: _Pool, origin: Origin) -> None:
        self._pool = pool
        self.origin = origin
        self.beginning = False
        """Whether of each answer the beginning is enough; redirects are then answers, too."""
        self.status = 0
        self.body = bytearray()
        """Of the last answer, as far as it has come."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        # raw: httpx's plain host is the decoded form of an xn-- name
        if (url.scheme, url.raw_host.decode(), port) != (
            self.origin.scheme,
            self.origin.host.strip("[]"),
            self.origin.port,
        ):
            raise PlatformUnavailable(
                PlatformUnavailableCause.UNEXPECTED_ANSWER, "another_origin", retry_after=None
            )
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name.lower() not in (b"cookie", b"accept-encoding")
        ]
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=[*headers, (b"accept-encoding", b"identity")],
            content=await request.aread(),
            extensions={
                "timeout": {
                    "connect": CONNECT_SECONDS,
                    "read": READ_SECONDS,
                    "write": READ_SECONDS,
                    "pool": CONNECT_SECONDS,
                }
            },
        )
        self.status, self.body = 0, bytearray()
        try:
            async with self._pool.turn(self.origin):
                answer = await self._pool.handle_async_request(asked)
                try:
                    self.status = answer.status
                    await self._pool.read(answer, self.body, self.beginning)
                finally:
                    await answer.aclose()
        except httpcore.TimeoutException:
            raise PlatformUnavailable(PlatformUnavailableCause.TIMEOUT, "timeout") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise PlatformUnavailable(_fault(error), type(error).__name__) from None
        kept = [item for item in answer.headers if item[0].lower() != b"set-cookie"]
        content = bytes(self.body)
        return httpx.Response(answer.status, headers=kept, content=content, request=request)


def _fault(error: Exception) -> PlatformUnavailableCause:
    if isinstance(error.__cause__, socket.gaierror):
        return PlatformUnavailableCause.DNS_FAILURE  # of a trusted host, which the machine looks up
    # a server that ends the connection without an answer is a protocol error to httpcore
    if isinstance(error, httpcore.ProtocolError) and "disconnected" not in str(error):
        return PlatformUnavailableCause.UNEXPECTED_ANSWER
    return PlatformUnavailableCause.SERVER_UNREACHABLE


def _check_head(answer: httpcore.Response, beginning: bool) -> None:
    if 300 <= answer.status < 400 and not beginning:
        raise PlatformUnavailable(
            PlatformUnavailableCause.UNEXPECTED_ANSWER, "redirect", retry_after=None
        )
    for name, value in answer.headers:
        if name.lower() == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise PlatformUnavailable(
                PlatformUnavailableCause.UNEXPECTED_ANSWER, "encoded", retry_after=None
            )
        if name.lower() == b"content-length" and int(value) > MOST_TOLD_BYTES and not beginning:
            raise PlatformUnavailable(
                PlatformUnavailableCause.UNEXPECTED_ANSWER, "too_large", retry_after=None
            )
