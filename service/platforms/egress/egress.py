"""Egress: guarded outbound HTTP.

Each request goes to one origin, over https on port 443, and connects to the address that was
checked to be public. There are no proxies, no cookies and no compression, and a response has at
most 128 KiB. Origins that the operator trusts are exempt from the rules on scheme, port and
address, and from no other. Redirects are rejected, except for requests without secrets: those
follow up to three, each under the same rules.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import certifi
import httpcore
import httpx

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.platforms.egress.dns import Resolver
from service.platforms.egress.origin import Origin
from service.platforms.egress.pool import CheckedBackend, Dial, Pool, dial
from service.platforms.egress.transport import Note, OriginTransport, ignore

MAX_REDIRECTS = 3
REDIRECTS = frozenset((301, 302, 303, 307, 308))
DEFAULT_HEADERS = {"user-agent": "postcore", "accept": "application/json, */*;q=0.5"}

Answer = httpx.Response


@dataclass(frozen=True, slots=True)
class Roots:
    """Files with root certificates, in PEM, in addition to the public roots.

    *private* is used for trusted origins only, except those in *public*. *proxy* is used for every
    origin: it holds the roots of a proxy that inspects TLS.
    """

    private: Path | None = None
    proxy: Path | None = None
    public: frozenset[Origin] = frozenset()


class Egress:
    """Makes requests, and transports for clients that make their own.

    Every failure raises PlatformUnavailable with a word on why, with one exception: NameNotFound,
    for a host name that does not exist or leads to an address that is not public.

    *only_trusted*, for a sandbox: reach trusted origins only, so that no credential leaves this
    machine. *dial* opens connections, after the address check; tests replace it. *note* counts the
    outcomes of requests. The constructor raises OSError if a file of *roots* cannot be read or
    holds no certificates.
    """

    def __init__(
        self,
        names: Resolver,
        roots: Roots = Roots(),
        dial: Dial = dial,
        *,
        only_trusted: bool = False,
        note: Note = ignore,
    ) -> None:
        self._note = note
        self._only_trusted = only_trusted
        context = _tls_context(roots.proxy)
        private = context if roots.private is None else _tls_context(roots.proxy, roots.private)
        # separate pools: a connection that was made to a trusted origin is never reused for the
        # same origin when an untrusted document names it
        self._guarded = Pool(context, CheckedBackend(names, dial))
        self._trusted = Pool(private, httpcore.AnyIOBackend())
        self._public = Pool(context, httpcore.AnyIOBackend())
        self._roots = roots

    def transport(self, origin: Origin, *, trusted: bool = False) -> OriginTransport:
        """Return an httpx transport that reaches *origin* only.

        Raises PlatformUnavailable if *origin* may not be reached.
        """
        if not trusted and (self._only_trusted or not origin.is_public_https):
            raise PlatformUnavailable(
                PlatformUnavailableCause.ADDRESS_NOT_ALLOWED, "forbidden_origin", retry_after=None
            )
        if not trusted:
            return OriginTransport(self._guarded, origin, self._note)
        pool = self._public if origin in self._roots.public else self._trusted
        return OriginTransport(pool, origin, self._note)

    async def get(
        self,
        origin: Origin,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        trusted: bool = False,
    ) -> Answer:
        """Return the complete response to a GET, with any status."""
        transport = self.transport(origin, trusted=trusted)
        url = httpx.URL(f"{origin}{path}")
        return await _get(transport, url.copy_merge_params(params) if params else url)

    async def get_prefix(self, origin: Origin, path: str) -> Answer:
        """Return the first 8 KiB of the response to a GET; follow at most three redirects.

        Use it only for requests that carry no secret.
        """

        async def get(url: httpx.URL) -> Answer:
            transport = self.transport(origin_of(url))
            transport.prefix_only = transport.takes_redirects = True
            return await _get(transport, url)

        return (await follow(httpx.URL(f"{origin}{path}"), get))[1]

    async def close(self) -> None:
        for pool in (self._guarded, self._trusted, self._public):
            await pool.aclose()


async def follow(
    url: httpx.URL, get: Callable[[httpx.URL], Awaitable[Answer]]
) -> tuple[httpx.URL, Answer]:
    """Return the last response of *get*, and its URL, after at most three redirects from *url*.

    Raises PlatformUnavailable for more redirects, or for one that names no URL.
    """
    for _ in range(MAX_REDIRECTS + 1):
        answer = await get(url)
        location = answer.headers.get("location")
        if answer.status_code not in REDIRECTS or location is None:
            return url, answer
        try:
            url = url.join(location)
        except (httpx.InvalidURL, ValueError):
            break
    raise PlatformUnavailable(
        PlatformUnavailableCause.UNEXPECTED_ANSWER, "redirect", retry_after=None
    )


async def _get(transport: OriginTransport, url: httpx.URL) -> Answer:
    # httpx decodes an xn-- host to write this header, and fails on an emoji's
    host = str(transport.origin).partition("://")[2]
    headers = {"host": host, **DEFAULT_HEADERS}
    return await transport.handle_async_request(httpx.Request("GET", url, headers=headers))


def url_of(text: str) -> httpx.URL:
    """Parse a URL whose host may be any text; raise PlatformUnavailable if it is none."""
    try:
        return httpx.URL(text)
    except httpx.InvalidURL:  # also for what only some take for an IPv4 address: 0177.0.0.1
        raise PlatformUnavailable(
            PlatformUnavailableCause.ADDRESS_NOT_ALLOWED, "forbidden_origin", retry_after=None
        ) from None


def origin_of(url: httpx.URL) -> Origin:
    """Return the origin of *url*; raise PlatformUnavailable if it has user information."""
    if url.userinfo:
        raise PlatformUnavailable(
            PlatformUnavailableCause.ADDRESS_NOT_ALLOWED, "redirect", retry_after=None
        )
    port = url.port if url.port is not None else (443 if url.scheme == "https" else 80)
    # raw: httpx's plain host is the decoded form of an xn-- name
    return Origin(url.scheme, url.raw_host.decode(), port)


def _tls_context(*files: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the public roots and those in *files*; raise OSError."""
    added = [file for file in files if file is not None]
    if not added:
        return _shared_context()
    context = _new_context()
    for file in added:
        context.load_verify_locations(file)
    return context


def _new_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


@cache
def _shared_context() -> ssl.SSLContext:
    """Return the context without other roots. Each takes 20 ms to make, and half a MiB."""
    return _new_context()
