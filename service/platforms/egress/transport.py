"""OriginTransport: the httpx transport of one origin."""

import httpcore
import httpx

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.platforms.egress.origin import Origin
from service.platforms.egress.pool import Pool, Received


class OriginTransport(httpx.AsyncBaseTransport):
    """Sends requests to *origin* and rejects every other one.

    Raises PlatformUnavailable or NameNotFound instead of httpx's errors.
    """

    def __init__(self, pool: Pool, origin: Origin) -> None:
        self._pool = pool
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
        await self._pool.exchange(
            self.origin,
            outbound,
            received,
            prefix_only=self.prefix_only,
            takes_redirects=self.takes_redirects,
        )
        kept = [item for item in received.headers if item[0].lower() != b"set-cookie"]
        return httpx.Response(
            received.status, headers=kept, content=bytes(received.body), request=request
        )
