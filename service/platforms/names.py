"""Names: DNS, asked with absolute names, a deadline and bounds."""

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.txtbase import TXTBase

from service.errors import PlatformUnavailable

SECONDS = 3.0
MOST_ANSWERS = 64


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
    (PlatformUnavailable).
    """

    def __init__(self, nameservers: Sequence[str] = (), port: int = 53) -> None:
        self._nameservers = list(nameservers)
        self._port = port
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def texts(self, name: str) -> list[str]:
        """The TXT records of *name*, each with its strings joined; those not in ASCII left out."""
        texts = []
        for record in await self._ask(name, "TXT"):
            text = b"".join(record.strings) if isinstance(record, TXTBase) else b""
            if text.isascii():
                texts.append(text.decode())
        return texts

    async def addresses(self, name: str) -> list[str]:
        """All IPv4 and IPv6 addresses of *name*, IPv4 first."""
        answers = await asyncio.gather(
            self._ask(name, "A"), self._ask(name, "AAAA"), return_exceptions=True
        )
        found = [str(record) for answer in answers if isinstance(answer, list) for record in answer]
        if found:
            return found
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, NameNotFound):
                raise answer
        raise NameNotFound(name)

    async def _ask(self, name: str, kind: str) -> list[Rdata]:
        try:
            absolute = dns.name.from_text(name, origin=dns.name.root)
            answer = await self._get().resolve(
                absolute, kind, search=False, lifetime=SECONDS, raise_on_no_answer=False
            )
        except (dns.resolver.NXDOMAIN, dns.name.NameTooLong):
            raise NameNotFound(name) from None
        except (dns.exception.DNSException, OSError, ValueError):
            raise PlatformUnavailable("dns") from None
        if answer.response.flags & dns.flags.TC:
            # cut short over TCP, too: what is missing may be the answer
            raise PlatformUnavailable("dns")
        records = list(answer.rrset or ())
        if not records:
            raise NameNotFound(name)
        if len(records) > MOST_ANSWERS:
            raise PlatformUnavailable("dns_too_many_answers")
        return records

    def _get(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            # not at start: a machine without name servers can still serve what needs none
            self._resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
            if self._nameservers:
                self._resolver.nameservers = self._nameservers
                self._resolver.port = self._port
        return self._resolver
