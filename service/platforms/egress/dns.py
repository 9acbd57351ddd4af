"""DNS: queries for absolute names, with a deadline and limits.

The name servers are those in the system's resolv.conf, which is reread at run time, or those given.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import IPv6Network
from pathlib import Path
from time import monotonic
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.inet
import dns.name
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.txtbase import TXTBase

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.platforms.egress.addresses import nat64_prefix
from service.platforms.egress.dns_sockets import CancellableBackend
from service.platforms.egress.race import first_of

QUERY_SECONDS = 3.0
MAX_RECORDS = 64
RESOLV_CONF = Path("/etc/resolv.conf")
MAX_SERVERS = 3
RESOLV_CONF_SECONDS = 1.0
"""How long the contents of resolv.conf are cached."""
OTHER_FAMILY_SECONDS = 0.3
"""How long the addresses of one family wait for those of the other."""
NAT64_NAME = "ipv4only.arpa"
"""A name with IPv4 addresses only: IPv6 answers come from DNS64, with its prefix (RFC 7050)."""
NAT64_SECONDS = 60.0
"""How long the prefixes are cached."""
NAT64_QUERY_SECONDS = 1.0
SERVER_STAGGER = 0.25
"""Delay before the next name server is queried as well, as a fraction of QUERY_SECONDS."""
BACKEND = CancellableBackend()

Found = dns.resolver.Answer | None
"""None: the name does not exist."""


class NameNotFound(Exception):
    """DNS reports that the name, or a record of this type, does not exist."""

    why = "no_such_name"
    """For the log; never sent to callers."""

    def unavailable(self) -> PlatformUnavailable:
        """Return the error to raise if the name is a server's, and not a handle."""
        cause = PlatformUnavailableCause.ADDRESS_NOT_ALLOWED
        return PlatformUnavailable(cause, self.why, retry_after=None)


class NameNotPublic(NameNotFound):
    """The name has an address that is not public.

    Replies are the same as for NameNotFound: they must not reveal names of the operator's network.
    """

    why = "forbidden_address"


class Resolver:
    """Queries the name servers in *resolv_conf*, or *nameservers* (addresses), at *port*.

    Raises NameNotFound for NXDOMAIN and NODATA only, and PlatformUnavailable for every failure.
    The server that answered last is queried first. A change of *resolv_conf* takes effect within
    a second.
    """

    def __init__(
        self, nameservers: Sequence[str] = (), port: int = 53, resolv_conf: Path = RESOLV_CONF
    ) -> None:
        self._given = list(nameservers)
        self._port = port
        self._resolv_conf = resolv_conf
        self._configured: list[str] = []
        self._servers: list[_Server] = []
        self._reread_at = 0.0
        self._nat64: tuple[IPv6Network, ...] = ()
        self._nat64_until = 0.0
        self._nat64_lock = asyncio.Lock()

    def servers(self) -> list[str]:
        """Return the addresses of the name servers, in the order of queries."""
        return [server.address for server in self._current()]

    async def texts(self, name: str) -> list[str]:
        """Return the TXT records of *name*, the strings of each joined; skip non-ASCII ones."""
        texts = []
        for record in await self._query(name, "TXT"):
            text = b"".join(record.strings) if isinstance(record, TXTBase) else b""
            if text.isascii():
                texts.append(text.decode())
        return texts

    async def addresses(self, name: str) -> list[str]:
        """Return all IPv4 and IPv6 addresses of *name*, IPv4 first.

        Once the addresses of one family are known, waits OTHER_FAMILY_SECONDS for the other: some
        name servers never answer for IPv6. In a network with DNS64, waits for both: its IPv6 answer
        comes last, and its IPv4 addresses are unreachable.
        """
        queries = [asyncio.create_task(self._query(name, kind)) for kind in ("A", "AAAA")]
        try:
            await asyncio.wait(queries, return_when=asyncio.FIRST_COMPLETED)
            is_one_known = any(task.done() and task.exception() is None for task in queries)
            is_enough = is_one_known and not self._nat64
            await asyncio.wait(queries, timeout=OTHER_FAMILY_SECONDS if is_enough else None)
        finally:
            for task in queries:
                task.cancel()
            answers = await asyncio.gather(*queries, return_exceptions=True)
        found = [str(record) for answer in answers if isinstance(answer, list) for record in answer]
        if found:
            return found
        for answer in answers:
            if isinstance(answer, PlatformUnavailable):
                raise answer
        raise NameNotFound(name)

    async def nat64(self) -> tuple[IPv6Network, ...]:
        """Return the prefixes by which this network reaches IPv4 addresses over IPv6 (RFC 7050).

        If the query fails, returns the previous prefixes.
        """
        self._current()  # a change of the name servers invalidates the prefixes
        async with self._nat64_lock:  # concurrent callers share one query
            if monotonic() >= self._nat64_until:
                await self._query_nat64()
                self._nat64_until = monotonic() + NAT64_SECONDS
        return self._nat64

    async def _query_nat64(self) -> None:
        try:
            async with asyncio.timeout(NAT64_QUERY_SECONDS):
                answers = [str(record) for record in await self._query(NAT64_NAME, "AAAA")]
        except NameNotFound:
            answers = []
        except (PlatformUnavailable, TimeoutError):
            return
        self._nat64 = tuple(filter(None, map(nat64_prefix, answers)))

    async def _query(self, name: str, kind: str) -> list[Rdata]:
        try:
            absolute = dns.name.from_text(name, origin=dns.name.root)
        except dns.name.NameTooLong:
            raise NameNotFound(name) from None
        except (dns.exception.DNSException, ValueError):
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns") from None
        answer = await self._answer(absolute, kind)
        if answer is None:
            raise NameNotFound(name)
        if answer.response.flags & dns.flags.TC:
            # truncated even over TCP: the missing records may be the ones that matter
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns")
        records = list(answer.rrset or ())
        if not records:
            raise NameNotFound(name)
        if len(records) > MAX_RECORDS:
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns_too_many_answers")
        return records

    async def _answer(self, name: dns.name.Name, kind: str) -> Found:
        """Return the first usable answer.

        A slow server may still answer while the next one is queried. The first server is queried
        again at the end, since a datagram may be lost.
        """
        servers = self._current()

        def attempt(
            server: _Server,
        ) -> Callable[[], Coroutine[Any, Any, dns.resolver.Answer | None]]:
            async def query() -> dns.resolver.Answer | None:
                answer = await server.query(name, kind)
                self._prefer(server)
                return answer

            return query

        try:
            async with asyncio.timeout(QUERY_SECONDS):
                return await first_of(
                    [attempt(server) for server in (*servers, servers[0])],
                    SERVER_STAGGER * QUERY_SECONDS,
                    (PlatformUnavailable,),
                )
        except TimeoutError:
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns_timeout") from None

    def _prefer(self, server: "_Server") -> None:
        if server in self._servers[1:]:
            self._servers = [server, *(other for other in self._servers if other is not server)]

    def _current(self) -> list["_Server"]:
        if self._given:
            addresses = self._given
        elif self._servers and monotonic() < self._reread_at:
            return self._servers
        else:
            self._reread_at = monotonic() + RESOLV_CONF_SECONDS
            # 127.0.0.1 is the C library's default. A file that is being rewritten names no server
            addresses = _nameservers(self._resolv_conf) or self._configured or ["127.0.0.1"]
        if addresses != self._configured:
            self._configured = addresses
            self._servers = [_Server(address, self._port) for address in addresses]
            self._nat64_until = 0.0
        return self._servers


class _Server:
    """A name server."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.resolver = dns.asyncresolver.Resolver(configure=False)
        self.resolver.nameservers = [address]
        self.resolver.port = port

    async def query(self, name: dns.name.Name, kind: str) -> Found:
        """Return the server's answer; raise PlatformUnavailable."""
        self.resolver.timeout = QUERY_SECONDS
        try:
            return await self.resolver.resolve(
                name,
                kind,
                search=False,
                lifetime=QUERY_SECONDS,
                raise_on_no_answer=False,
                backend=BACKEND,
            )
        except dns.resolver.NXDOMAIN:
            return None
        except dns.exception.Timeout:
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns_timeout") from None
        except (dns.exception.DNSException, OSError, ValueError):
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns") from None


def _nameservers(resolv_conf: Path) -> list[str]:
    """Return the name servers in a resolv.conf(5) file; none if it cannot be read."""
    try:
        text = resolv_conf.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    words = [line.split() for line in text.splitlines()]
    servers = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [server for server in servers if dns.inet.is_address(server)][:MAX_SERVERS]
