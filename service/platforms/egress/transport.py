"""OriginTransport: the httpx transport of one origin."""

from collections.abc import Callable

import httpcore
import httpx
from opentelemetry.trace import SpanKind

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.platforms.egress.dns import NameNotFound
from service.platforms.egress.origin import Origin
from service.platforms.egress.pool import Pool, Received
from service.runtime.tracing import span

NAME_NOT_FOUND = "NAME_NOT_FOUND"
"""The outcome of a request to a host that does not exist, or is not public."""
Note = Callable[[str], None]
"""Is called with the outcome of each request: the class of its status, or the cause of failure."""


def ignore(_: str) -> None:
    """Note nothing."""


class OriginTransport(httpx.AsyncBaseTransport):
    """Sends requests to *origin* and rejects every other one.

    Raises PlatformUnavailable or NameNotFound instead of httpx's errors.
    """

    def __init__(self, pool: Pool, origin: Origin, note: Note = ignore) -> None:
        self._pool = pool
        self._note = note
        self.origin = origin
        self.prefix_only = False
        """Read only the first 8 KiB of each response."""
        self.takes_redirects = False
        """Return redirects, which are errors otherwise. For requests without secrets only."""
        self.received = Received()
        """The latest response, as far as it has arrived."""

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
        outbound = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=[*headers, (b"accept-encoding", b"identity")],
            content=await request.aread(),
        )
        self.received = received = Received()
        try:
            # the method alone: a path may name an account, and a host its owner
            with span(request.method, SpanKind.CLIENT):
                await self._pool.exchange(
                    self.origin,
                    outbound,
                    received,
                    prefix_only=self.prefix_only,
                    takes_redirects=self.takes_redirects,
                )
        except PlatformUnavailable as error:
            self._note(error.cause.value)
            raise
        except NameNotFound:
            self._note(NAME_NOT_FOUND)
            raise
        self._note(f"{received.status // 100}xx")
        kept = [item for item in received.headers if item[0].lower() != b"set-cookie"]
        return httpx.Response(
            received.status, headers=kept, content=bytes(received.body), request=request
        )
