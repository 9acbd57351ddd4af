"""Storm: account servers on the tests' own internet, which fail on order.

A check asks an account's server for a refresh, a status, a login, and the status again; each outage
begins at one of these, or at the directory. Earlier answers are normal: the session has ended, the
account is active, the password is rejected.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import dns.rcode
import httpcore

from service.domain.clock import Clock
from service.platforms.egress import pool
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from tests.platforms.bluesky_login import jwt, xrpc
from tests.platforms.dns_server import NXDOMAIN, SERVFAIL, DnsServer, Reply
from tests.platforms.internet import WEB, document
from tests.platforms.raw import Answer, RawServer, Request, respond
from tests.platforms.web import Authority
from tests.support.bluesky import some_password

REFRESH, STANDING, LOGIN, STANDING_AGAIN = range(4)
DIRECTORY = -1
REFUSING, PLAIN = "93.184.216.40", "93.184.216.41"
"""Public addresses: one refuses connections, and the server of the other speaks no TLS."""
CLOSED_PORT = 1
METHODS = ("refreshSession", "getRepoStatus", "createSession", "getRepoStatus")
CLOSE = {"connection": "close"}


@dataclass
class Site:
    """An account and its server: *asked* counts the requests to it in this check."""

    number: int
    password: str = field(default_factory=some_password, repr=False)
    tokens: list[str] = field(default_factory=list, repr=False)
    begins_at: int | None = None
    """The request that meets the outage; with None there is no fault and the session is good."""
    answer: Answer | str = ""
    """The answer from then on; a text names a fault of the host instead."""
    asked: int = 0
    met: bool = False
    logins: int = 0

    @property
    def host(self) -> str:
        return f"pds-{self.number}.example.com"

    @property
    def handle(self) -> str:
        return f"alice-{self.number}.example.com"

    @property
    def did(self) -> str:
        letters = "abcdefghijklmnopqrstuvwxyz"
        name = "".join(letters[self.number // 26**place % 26] for place in range(4))
        return f"did:plc:{name:a>24}"

    @property
    def secrets(self) -> list[str]:
        return [self.password, *self.tokens]


class _AccountServers(RawServer):
    """All account servers behind one address; the Host header selects one."""

    storm: "Storm"

    def _answer(self, request: Request) -> Answer:
        return self.storm.answer(request)


class _Directory(RawServer):
    storm: "Storm"

    def _answer(self, request: Request) -> Answer:
        return self.storm.answer_of_directory(request)


class Storm:
    """*sites* by host; `outside` is the service's EgressContext to them."""

    def __init__(self, names: DnsServer, authority: Authority, count: int) -> None:
        self._dns = names
        self._authority = authority
        self.sites = {site.host: site for site in map(Site, range(count))}
        self._by_did = {site.did: site for site in self.sites.values()}
        self.directory: RawServer
        self._open_directory = AsyncExitStack()
        for site in self.sites.values():
            self._dns.say(f"_atproto.{site.handle}", "TXT", f'"did={site.did}"')
            self._dns.say(site.host, "A", WEB)

    @classmethod
    @asynccontextmanager
    async def started(cls, authority: Authority, count: int) -> AsyncIterator[Self]:
        async with (
            DnsServer.started() as names,
            _AccountServers.started(authority.context()) as servers,
            RawServer.started() as plain,
        ):
            storm = cls(names, authority, count)
            storm.servers, storm._plain = servers, plain
            servers.storm = storm
            storm.directory = await storm._open_directory.enter_async_context(_Directory.started())
            storm.directory.storm = storm  # type: ignore[attr-defined]
            try:
                yield storm
            finally:
                await storm._open_directory.aclose()

    servers: RawServer
    _plain: RawServer

    def outside(
        self, clock: Clock, leave: Callable[[Coroutine[Any, Any, object]], None]
    ) -> EgressContext:
        names = Resolver(["127.0.0.1"], self._dns.port)
        way = Egress(names, Roots(proxy=self._authority.roots), self._dial)
        directory = Origin.parse(self.directory.origin)
        return EgressContext(way, names, clock, directory, None, frozenset(), leave)

    async def close_directory(self) -> None:
        """Close it for good: its port refuses connections from now on."""
        await self._open_directory.aclose()

    def set(self, site: Site, begins_at: int | None, answer: Answer | str = "") -> None:
        """Let *site* work until request *begins_at*, and then fail with *answer*."""
        self._mend(site)
        site.begins_at, site.answer = begins_at, answer
        site.asked, site.met = 0, False
        if begins_at == REFRESH and isinstance(answer, str):
            self._break(site, answer)

    def answer(self, request: Request) -> Answer:
        site = self.sites[request.host]
        method = request.path.rpartition(".")[2]
        if method == "createSession":
            site.logins += 1
        expected = site.asked < len(METHODS) and METHODS[site.asked] == method
        if site.begins_at is None or not expected:
            return self._normal(site, method)
        question, site.asked = site.asked, site.asked + 1
        if question >= site.begins_at >= 0 and not isinstance(site.answer, str):
            site.met = True
            return site.answer
        if question == site.begins_at - 1 and isinstance(site.answer, str):
            self._break(site, site.answer)
        return self._failing(question, site)

    def answer_of_directory(self, request: Request) -> Answer:
        site = self._by_did[request.path.split("/")[1]]
        if site.begins_at == DIRECTORY and not isinstance(site.answer, str):
            site.met = True
            return site.answer
        endpoint = f"https://{site.host}"
        return respond(document(site.did, site.handle, endpoint), 200, **CLOSE)

    def _normal(self, site: Site, method: str) -> Answer:
        if method in ("createSession", "refreshSession"):
            return self._session(site)
        if method == "getRepoStatus":
            return respond({"did": site.did, "active": True}, 200, **CLOSE)
        return respond({}, 200 if method == "deleteSession" else 404, **CLOSE)

    def _failing(self, question: int, site: Site) -> Answer:
        if question == REFRESH:
            return xrpc(400, "ExpiredToken", **CLOSE)
        if question == LOGIN:
            return xrpc(401, "AuthenticationRequired", **CLOSE)
        return self._normal(site, "getRepoStatus")

    def _session(self, site: Site) -> Answer:
        number = len(site.tokens)
        access = jwt(
            {"scope": "com.atproto.appPass", "exp": 4_000_000_000}, f"a{number} {site.did}"
        )
        refresh = jwt({"scope": "com.atproto.refresh"}, f"r{number} {site.did}")
        site.tokens += [access, refresh]
        session = {"accessJwt": access, "refreshJwt": refresh, "did": site.did}
        return respond({**session, "handle": site.handle, "active": True}, 200, **CLOSE)

    def _break(self, site: Site, how: str) -> None:
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

    def _mend(self, site: Site) -> None:
        self._dns.say(site.host, "A", WEB)
        self._dns.say(site.host, "AAAA", Reply())
        self._authority.misnamed.pop(site.host, None)

    async def _dial(self, address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        ports = {WEB: self.servers.port, PLAIN: self._plain.port, REFUSING: CLOSED_PORT}
        return await pool.dial("127.0.0.1", ports[address], seconds)

    async def all_hung_up(self) -> None:
        await self.servers.all_hung_up()
