"""Storm: servers of accounts on the tests' own internet, which fail on order.

Each account has a server of its own, by its host name. An outage begins at one of the requests of a
check, and lasts until its end. Earlier requests are answered as in a given state of the account.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar

import dns.rcode
import httpcore

from service.domain.clock import Clock
from service.platforms.egress import pool
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from tests.platforms.dns_server import NXDOMAIN, SERVFAIL, DnsServer, Reply
from tests.platforms.internet import WEB
from tests.platforms.raw import Answer, RawServer, Request
from tests.platforms.web import Authority

from .kinds import Kind

REFUSING, PLAIN = "93.184.216.40", "93.184.216.41"
"""Public addresses: one refuses connections, and the server of the other speaks no TLS."""
CLOSED_PORT = 1
NOWHERE = "http://127.0.0.1:9"
CLOSE = {"connection": "close"}


@dataclass
class Account:
    """An account and its server: *asked* counts the requests to it in this check."""

    number: int
    begins_at: int | None = None
    """The request that meets the outage; with None there is no fault."""
    answer: Answer | str = ""
    """The answer from then on; a text names a fault of the host or of a proxy instead."""
    asked: int = 0
    met: bool = False
    logins: int = 0
    tokens: list[str] = field(default_factory=list, repr=False)

    @property
    def host(self) -> str:
        return f"pds-{self.number}.example.com"

    @property
    def secrets(self) -> list[str]:
        return self.tokens

    @property
    def credentials(self) -> Mapping[str, str]:
        """The owner's, by the fields' JSON names."""
        raise NotImplementedError


A = TypeVar("A", bound=Account)
P = TypeVar("P")


class _Servers(RawServer):
    """The servers of all accounts behind one address; the Host header selects one."""

    storm: "Storm[Any, Any]"

    def _answer(self, request: Request) -> Answer:
        return self.storm.answer(request)


class Storm(ABC, Generic[A, P]):
    """*sites*: the accounts, by host; `outside` is the service's EgressContext to them.

    P: a place where an outage may begin.
    """

    platform: ClassVar[str]
    kinds: ClassVar[Sequence[Kind]]
    servers: RawServer
    _plain: RawServer

    def __init__(self, names: DnsServer, authority: Authority, count: int) -> None:
        self._dns = names
        self._authority = authority
        self.sites = {site.host: site for site in map(self.site, range(count))}
        for host in self.sites:
            self._dns.say(host, "A", WEB)

    @abstractmethod
    def site(self, number: int) -> A:
        """Return a new account."""

    @classmethod
    @asynccontextmanager
    async def started(cls, authority: Authority, count: int) -> AsyncIterator[Self]:
        async with (
            DnsServer.started() as names,
            _Servers.started(authority.context()) as servers,
            RawServer.started() as plain,
        ):
            storm = cls(names, authority, count)
            storm.servers, storm._plain = servers, plain
            servers.storm = storm
            async with storm.directories():
                yield storm

    @asynccontextmanager
    async def directories(self) -> AsyncIterator[None]:
        """Run the servers that the platform has beside those of accounts."""
        yield

    @property
    def directory(self) -> str:
        """The origin of the directory of DID documents."""
        return NOWHERE

    def outside(
        self, clock: Clock, leave: Callable[[Coroutine[Any, Any, object]], None]
    ) -> EgressContext:
        names = Resolver(["127.0.0.1"], self._dns.port)
        way = Egress(names, Roots(proxy=self._authority.roots), self._dial)
        directory = Origin.parse(self.directory)
        return EgressContext(way, names, clock, directory, None, frozenset(), leave)

    @abstractmethod
    def places(self, kind: Kind) -> Sequence[P]:
        """Return where an outage of *kind* may begin."""

    @abstractmethod
    def max_logins(self, kind: Kind, place: P) -> int:
        """Return how many logins a check may spend that meets *kind* at *place*."""

    @abstractmethod
    def set(self, site: A, place: P, answer: Answer | str) -> None:
        """Let the server of *site* fail with *answer* from *place* on, in the next check."""

    async def begin(self, kind: Kind) -> None:
        """Prepare for the outages of *kind*."""

    def mend(self, site: A) -> None:
        """End the outage: the credential and the session work."""
        self._dns.say(site.host, "A", WEB)
        self._dns.say(site.host, "AAAA", Reply())
        self._authority.misnamed.pop(site.host, None)
        site.begins_at, site.answer = None, ""
        site.asked, site.met = 0, False

    @abstractmethod
    def answer(self, request: Request) -> Answer: ...

    async def all_hung_up(self) -> None:
        await self.servers.all_hung_up()

    def _break_host(self, site: A, how: str) -> None:
        """Break the name, the address or the certificate of the account's host."""
        site.met = True
        match how:
            case "refused":
                self._dns.say(site.host, "A", REFUSING)
            case "no name":
                self._dns.say(site.host, "A", NXDOMAIN)
                self._dns.say(site.host, "AAAA", NXDOMAIN)
            case "name server fails":
                self._dns.say(site.host, "A", SERVFAIL)
                self._dns.say(site.host, "AAAA", Reply(rcode=dns.rcode.SERVFAIL))
            case "another's certificate":
                self._authority.misnamed[site.host] = "another.example.com"
            case "no TLS":
                self._dns.say(site.host, "A", PLAIN)
            case _:
                raise ValueError(how)

    async def _dial(self, address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        ports = {WEB: self.servers.port, PLAIN: self._plain.port, REFUSING: CLOSED_PORT}
        return await pool.dial("127.0.0.1", ports[address], seconds)
