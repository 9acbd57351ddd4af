"""Names: DNS, asked with absolute names, a deadline and bounds.

The name servers are the machine's, as its resolv.conf names them now, or those that are given.
"""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import IPv6Network
from pathlib import Path
from time import monotonic
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.txtbase import TXTBase

from service.errors import PlatformUnavailable
from service.model import PlatformFault
from service.platforms.addresses import nat64_prefix

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
NAT64_SECONDS = 300.0
"""How long the prefixes that were found are used."""


class NameNotFound(Exception):
    """The domain name system says that there is no such name, or no such record there."""

    why = "no_such_name"
    """A word for our own log; it is never sent."""


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
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._servers: list[str] = []
        self._look_at = 0.0
        self._nat64: tuple[IPv6Network, ...] = ()
        self._nat64_until = 0.0

    def servers(self) -> list[str]:
        """The addresses of the name servers, in the order in which they are asked."""
        servers = self._current().nameservers
        return [server.address for server in servers if isinstance(server, _Server)]

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
        moment: some name servers never answer for IPv6.
        """
        asked = [asyncio.create_task(self._ask(name, kind)) for kind in ("A", "AAAA")]
        try:
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            if any(task.done() and task.exception() is None for task in asked):
                await asyncio.wait(asked, timeout=OTHER_FAMILY_SECONDS)
            else:
                await asyncio.wait(asked)
            answers = [task for task in asked if task.done()]
        finally:
            for task in asked:
                task.cancel()
        failures = [error for task in answers if (error := task.exception()) is not None]
        found = [
            str(record) for task in answers if not task.exception() for record in task.result()
        ]
        if found:
            return found
        for error in failures:
            if not isinstance(error, NameNotFound):
                raise error
        raise NameNotFound(name)

    async def nat64(self) -> tuple[IPv6Network, ...]:
        """The prefixes under which this network reaches IPv4 addresses by IPv6 (RFC 7050).

        Where they cannot be asked for, those that were found before.
        """
        if monotonic() >= self._nat64_until:
            try:
                shown = [str(record) for record in await self._ask(NAT64_NAME, "AAAA")]
            except NameNotFound:
                shown = []
            except PlatformUnavailable:
                return self._nat64
            self._nat64 = tuple(filter(None, map(nat64_prefix, shown)))
            self._nat64_until = monotonic() + NAT64_SECONDS
        return self._nat64

    async def _ask(self, name: str, kind: str) -> list[Rdata]:
        try:
            absolute = dns.name.from_text(name, origin=dns.name.root)
            answer = await self._current().resolve(
                absolute, kind, search=False, lifetime=SECONDS, raise_on_no_answer=False
            )
        except (dns.resolver.NXDOMAIN, dns.name.NameTooLong):
            raise NameNotFound(name) from None
        except dns.exception.Timeout:
            raise PlatformUnavailable(PlatformFault.DNS_FAILURE, "dns_timeout") from None
        except (dns.exception.DNSException, OSError, ValueError):
            raise PlatformUnavailable(PlatformFault.DNS_FAILURE, "dns") from None
        if answer.response.flags & dns.flags.TC:
            # cut short over TCP, too: what is missing may be the answer
            raise PlatformUnavailable(PlatformFault.DNS_FAILURE, "dns")
        records = list(answer.rrset or ())
        if not records:
            raise NameNotFound(name)
        if len(records) > MOST_ANSWERS:
            raise PlatformUnavailable(PlatformFault.DNS_FAILURE, "dns_too_many_answers")
        return records

    def _current(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None and self._given:
            self._ask_at(self._given)
        elif not self._given and (self._resolver is None or monotonic() >= self._look_at):
            self._look_at = monotonic() + LOOK_EVERY
            servers = _named_servers(self._resolv_conf)
            if servers and servers != self._servers:
                self._ask_at(servers)
            elif self._resolver is None:
                self._ask_at(["127.0.0.1"])  # as the C library does
                self._servers = []
        assert self._resolver is not None
        return self._resolver

    def _ask_at(self, servers: list[str]) -> None:
        resolver = dns.asyncresolver.Resolver(configure=False)

        def first(server: dns.nameserver.Nameserver) -> None:
            if resolver.nameservers[0] is not server:
                others = [other for other in resolver.nameservers if other is not server]
                resolver.nameservers = [server, *others]

        resolver.nameservers = [_Server(server, self._port, first) for server in servers]
        # each server is asked once, and time is left to ask one more
        resolver.timeout = SECONDS / (len(servers) + 1)
        self._servers, self._resolver = servers, resolver
        self._nat64_until = 0.0


class _Server(dns.nameserver.Do53Nameserver):
    """A name server; *answered* is called with it whenever it has given an answer of use."""

    def __init__(
        self, address: str, port: int, answered: Callable[[dns.nameserver.Nameserver], None]
    ) -> None:
        super().__init__(address, port)
        self._answered = answered

    async def async_query(self, *args: Any, **options: Any) -> dns.message.Message:
        response = await super().async_query(*args, **options)
        if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            self._answered(self)
        return response


def _named_servers(resolv_conf: Path) -> list[str]:
    """The name servers in a file of the form of resolv.conf(5); none, where it cannot be read."""
    try:
        written = resolv_conf.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    words = [line.split() for line in written.splitlines()]
    servers = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [server for server in servers if dns.inet.is_address(server)][:MOST_SERVERS]
