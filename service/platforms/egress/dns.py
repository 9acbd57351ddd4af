"""Names: DNS, asked with absolute names, a deadline and bounds.

The name servers are the machine's, as its resolv.conf names them now, or those that are given.
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
from service.platforms.egress.race import first_of

SECONDS = 3.0
MOST_ANSWERS = 64
RESOLV_CONF = Path("/etc/resolv.conf")
MOST_SERVERS = 3
LOOK_EVERY = 1.0
"""How often resolv.conf is read while questions are asked, in seconds."""
OTHER_FAMILY_SECONDS = 0.3
"""What the addresses of one family wait for those of the other."""
NAT64_NAME = "ipv4only.arpa"
"""A name with IPv4 addresses alone: those of IPv6 that DNS64 gives it show its prefix (RFC 7050)"""
NAT64_SECONDS = 60.0
"""How long the prefixes that were found are used."""
NAT64_ASK_SECONDS = 1.0
SERVER_STAGGER = 0.25
"""How long a name server is asked alone before the next one is asked, too: as a part of SECONDS."""


Found = dns.resolver.Answer | None
"""An answer; None, where it is that there is no such name."""


class NameNotFound(Exception):
    """The domain name system says that there is no such name, or no such record there."""

    why = "no_such_name"
    """A word for our own log; it is never sent."""

    def refusal(self) -> PlatformUnavailable:
        """What it is where the name is a server's, rather than a handle."""
        cause = PlatformUnavailableCause.ADDRESS_NOT_ALLOWED
        return PlatformUnavailable(cause, self.why, retry_after=None)


class NameNotPublic(NameNotFound):
    """The name leads to an address that is not public.

    To callers it does not exist: replies must not tell which names of the operator's network do.
    """

    why = "forbidden_address"


class Resolver:
    """Asks the machine's name servers, or *nameservers* (addresses) at *port*.

    Only NXDOMAIN and NODATA mean "not there" (NameNotFound); every failure means nothing
    (PlatformUnavailable). The server that answered last is asked first. A change of *resolv_conf*
    is seen a second later.
    """

    def __init__(
        self, nameservers: Sequence[str] = (), port: int = 53, resolv_conf: Path = RESOLV_CONF
    ) -> None:
        self._given = list(nameservers)
        self._port = port
        self._resolv_conf = resolv_conf
        self._named: list[str] = []
        self._servers: list[_Server] = []
        self._look_at = 0.0
        self._nat64: tuple[IPv6Network, ...] = ()
        self._nat64_until = 0.0
        self._nat64_lock = asyncio.Lock()

    def servers(self) -> list[str]:
        """The addresses of the name servers, in the order in which they are asked."""
        return [server.address for server in self._current()]

    async def texts(self, name: str) -> list[str]:
        """The TXT records of *name*, each with its strings joined; those not in ASCII left out."""
        texts = []
        for record in await self._ask(name, "TXT"):
            text = b"".join(record.strings) if isinstance(record, TXTBase) else b""
            if text.isascii():
                texts.append(text.decode())
        return texts

    async def addresses(self, name: str) -> list[str]:
        """All IPv4 and IPv6 addresses of *name*, IPv4 first.

        Once those of one family are known, those of the other are not waited for any longer than a
        moment: some name servers never answer for IPv6. In a network with DNS64 they are, since its
        answer for IPv6 comes after the one for IPv4, which leads nowhere there.
        """
        asked = [asyncio.create_task(self._ask(name, kind)) for kind in ("A", "AAAA")]
        try:
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            is_one_known = any(task.done() and task.exception() is None for task in asked)
            hurried = is_one_known and not self._nat64
            await asyncio.wait(asked, timeout=OTHER_FAMILY_SECONDS if hurried else None)
        finally:
            for task in asked:
                task.cancel()
            answers = await asyncio.gather(*asked, return_exceptions=True)
        found = [str(record) for answer in answers if isinstance(answer, list) for record in answer]
        if found:
            return found
        for answer in answers:
            if isinstance(answer, PlatformUnavailable):
                raise answer
        raise NameNotFound(name)

    async def nat64(self) -> tuple[IPv6Network, ...]:
        """The prefixes under which this network reaches IPv4 addresses by IPv6 (RFC 7050).

        Where they cannot be asked for, those that were found before.
        """
        self._current()  # a change of the name servers makes them unknown
        async with self._nat64_lock:  # asked for once, for all who need them
            if monotonic() >= self._nat64_until:
                await self._ask_for_nat64()
                self._nat64_until = monotonic() + NAT64_SECONDS
        return self._nat64

    async def _ask_for_nat64(self) -> None:
        try:
            async with asyncio.timeout(NAT64_ASK_SECONDS):
                shown = [str(record) for record in await self._ask(NAT64_NAME, "AAAA")]
        except NameNotFound:
            shown = []
        except (PlatformUnavailable, TimeoutError):
            return
        self._nat64 = tuple(filter(None, map(nat64_prefix, shown)))

    async def _ask(self, name: str, kind: str) -> list[Rdata]:
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
            # cut short over TCP, too: what is missing may be the answer
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns")
        records = list(answer.rrset or ())
        if not records:
            raise NameNotFound(name)
        if len(records) > MOST_ANSWERS:
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns_too_many_answers")
        return records

    async def _answer(self, name: dns.name.Name, kind: str) -> Found:
        """The first answer of use.

        A server that is slow is still listened to while the next one is asked. The first one is
        asked once more at the end: a datagram may be lost.
        """
        servers = self._current()

        def attempt(
            server: _Server,
        ) -> Callable[[], Coroutine[Any, Any, dns.resolver.Answer | None]]:
            async def ask() -> dns.resolver.Answer | None:
                answer = await server.ask(name, kind)
                self._ask_first(server)
                return answer

            return ask

        try:
            async with asyncio.timeout(SECONDS):
                return await first_of(
                    [attempt(server) for server in (*servers, servers[0])],
                    SERVER_STAGGER * SECONDS,
                    (PlatformUnavailable,),
                )
        except TimeoutError:
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns_timeout") from None

    def _ask_first(self, server: "_Server") -> None:
        if server in self._servers[1:]:
            self._servers = [server, *(other for other in self._servers if other is not server)]

    def _current(self) -> list["_Server"]:
        if self._given:
            named = self._given
        elif self._servers and monotonic() < self._look_at:
            return self._servers
        else:
            self._look_at = monotonic() + LOOK_EVERY
            # as the C library does where there are none; a file that is being written has none
            named = _named_servers(self._resolv_conf) or self._named or ["127.0.0.1"]
        if named != self._named:
            self._named = named
            self._servers = [_Server(address, self._port) for address in named]
            self._nat64_until = 0.0
        return self._servers


class _Server:
    """A name server."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.resolver = dns.asyncresolver.Resolver(configure=False)
        self.resolver.nameservers = [address]
        self.resolver.port = port

    async def ask(self, name: dns.name.Name, kind: str) -> Found:
        """Its answer. Raises PlatformUnavailable."""
        self.resolver.timeout = SECONDS
        try:
            return await self.resolver.resolve(
                name, kind, search=False, lifetime=SECONDS, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return None
        except dns.exception.Timeout:
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns_timeout") from None
        except (dns.exception.DNSException, OSError, ValueError):
            raise PlatformUnavailable(PlatformUnavailableCause.DNS_FAILURE, "dns") from None


def _named_servers(resolv_conf: Path) -> list[str]:
    """The name servers in a file of the form of resolv.conf(5); none, where it cannot be read."""
    try:
        written = resolv_conf.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    words = [line.split() for line in written.splitlines()]
    servers = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [server for server in servers if dns.inet.is_address(server)][:MOST_SERVERS]
