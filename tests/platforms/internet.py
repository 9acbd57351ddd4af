"""Internet: DNS, web servers behind a few public addresses, and an Egress that reaches them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpcore

from service.domain.model import SECOND, Micros
from service.platforms.egress import pool
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from service.runtime.tasks import OwnedTasks

from .dns_server import DnsServer, text
from .raw import Answer, RawServer, respond
from .web import Authority

WEB = "93.184.216.34"
"""A public address: the web server listens behind it, on port 443."""
UNREACHABLE = "93.184.216.35"
NOW = 1_800_000_000


class StoppedClock:
    """A clock that does not advance."""

    def now(self) -> Micros:
        return NOW * SECOND


class Internet:
    """*dialled* has each address that passed the check and was connected to."""

    def __init__(self, dns: DnsServer, web: RawServer, plc: RawServer, roots: Authority) -> None:
        self.dns = dns
        self.web = web
        self.plc = plc
        self.authority = roots
        self.dialled: list[tuple[str, int]] = []
        self.tasks = OwnedTasks()
        self.names = Resolver(["127.0.0.1"], dns.port)
        self.egress = Egress(self.names, Roots(proxy=roots.roots), self.dial)

    @classmethod
    @asynccontextmanager
    async def started(cls, roots: Authority) -> AsyncIterator[Self]:
        async with (
            DnsServer.started() as dns,
            RawServer.started(roots.context()) as web,
            RawServer.started() as plc,
        ):
            internet = cls(dns, web, plc, roots)
            try:
                yield internet
            finally:
                await internet.tasks.drain(0)
                await internet.egress.close()

    async def dial(self, address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        """Like the real one, but public addresses lead to servers on this machine."""
        self.dialled.append((address, port))
        if (address, port) != (WEB, 443):
            raise httpcore.ConnectError
        return await pool.dial("127.0.0.1", self.web.port, seconds)

    def context(
        self, *, resolver: RawServer | None = None, trusted: tuple[str, ...] = ()
    ) -> EgressContext:
        """An EgressContext with `plc` as the directory."""
        return EgressContext(
            self.egress,
            self.names,
            StoppedClock(),
            Origin.parse(self.plc.origin),
            Origin.parse(resolver.origin) if resolver else None,
            frozenset(map(Origin.parse, trusted)),
            self.tasks.spawn,
        )

    def site(self, host: str, path: str, *answers: Answer) -> None:
        """Add a page."""
        self.dns.say(host, "A", WEB)
        self.web.on(f"{host}{path}", *answers)

    def handle(self, handle: str, did: str) -> None:
        """Add a text record that leads from *handle* to *did*."""
        self.dns.say(f"_atproto.{handle}", "TXT", text(f"did={did}"))

    def document(self, did: str, handle: str, endpoint: str) -> None:
        """Add a document of *did* to the directory."""
        self.plc.on(f"/{did}", respond(document(did, handle, endpoint)))

    async def get(self, host: str, path: str = "/") -> bytes:
        """Return the body of a guarded GET."""
        return (await self.egress.get(Origin("https", host, 443), path)).content


def document(did: str, handle: str, endpoint: str) -> dict[str, Any]:
    """Return a DID document that names *handle* back and *endpoint* as the account server."""
    return {
        "id": did,
        "alsoKnownAs": [f"at://{handle}"],
        "service": [
            {
                "id": "#atproto_pds",
                "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": endpoint,
            }
        ],
    }
