"""EgressContext: the dependencies with which an adapter reaches its platform's servers."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any

import httpx

from service.domain.clock import Clock
from service.platforms.egress.dns import NameNotFound, Resolver
from service.platforms.egress.egress import (
    DEFAULT_HEADERS,
    Egress,
    follow,
    origin_of,
    url_of,
)
from service.platforms.egress.origin import Origin


@dataclass(frozen=True, slots=True)
class EgressContext:
    """Guarded outbound calls, and the origins that the operator trusts, each for one role."""

    egress: Egress
    names: Resolver
    clock: Clock
    directory: Origin
    """The PLC directory: trusted for DID documents only."""
    handle_resolver: Origin | None
    """Trusted to resolve handles only. None: handles resolve by DNS and the well-known file."""
    account_servers: frozenset[Origin]
    """Trusted as account servers only."""
    spawn: Callable[[Coroutine[Any, Any, object]], None]
    """Runs work in the background. The work must have a time limit of its own."""
    platform_origins: Mapping[str, Origin] = field(default_factory=dict)
    """Trusted instead of the one host of a platform, by its id: a stand-in's."""

    def fixed_origin(self, platform: str, public: str) -> str:
        """Return the origin of a platform that has one for all accounts: *public*, or its
        stand-in's."""
        return str(self.platform_origins.get(platform, public))

    def origin_of_host(self, host: str) -> Origin:
        """Return the origin of *host* (`example.com`, or HOST:PORT): https, unless it is trusted.

        Raises ValueError if *host* is none.
        """
        for scheme in ("https", "http"):
            origin = Origin.parse(f"{scheme}://{host}")
            if origin in self.account_servers:
                return origin
        return Origin.parse(f"https://{host}")

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
    ) -> httpx.Response:
        """Return the complete response of an account's server, with any status.

        A redirect is an error. *json*: the body, if not None. Raises PlatformUnavailable.

        Each call has a connection of its own. Some servers close a connection after a response
        without saying so; a call that was sent on it would fail, since no call is sent twice.
        """
        try:
            return await self._call(method, url, headers, json)
        except NameNotFound as error:
            raise error.unavailable() from None

    async def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        *,
        takes_redirects: bool = False,
    ) -> httpx.Response:
        parsed = url_of(url)
        origin = origin_of(parsed)
        content = b"" if json is None else dumps(json).encode()
        sent = {**DEFAULT_HEADERS, "connection": "close", **(headers or {})}
        if content:
            sent["content-type"] = "application/json"
        # httpx decodes an xn-- host to write this header, and fails on an emoji's
        sent["host"] = str(origin).partition("://")[2]
        is_trusted = origin in self.account_servers or origin in self.platform_origins.values()
        transport = self.egress.transport(origin, trusted=is_trusted)
        transport.takes_redirects = takes_redirects
        request = httpx.Request(method, parsed, headers=sent, content=content or None)
        return await transport.handle_async_request(request)

    async def find(self, url: str) -> tuple[str, httpx.Response]:
        """GET *url* without a credential; follow at most three redirects.

        Return the URL that the last response came from, and that response, with any status. Each
        hop is held to the rules of `call`. Raises NameNotFound if a host does not exist or is not
        public, and PlatformUnavailable.
        """

        async def get(each: httpx.URL) -> httpx.Response:
            return await self._call("GET", str(each), takes_redirects=True)

        found, response = await follow(url_of(url), get)
        return str(found), response
