"""Field: an internet in which inner addresses are forbidden, and an audit of all sockets."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import httpcore

from service.platforms.egress import pool
from tests.attack.address_spellings import INNER_NAMES
from tests.platforms.dns_server import DnsServer
from tests.platforms.internet import UNREACHABLE, WEB, Internet
from tests.platforms.raw import RawServer, respond
from tests.platforms.web import Authority

GOOD = "good.example.com"


class Sockets:
    """Counts socket connections of this process, and those to a port of loopback that is not
    *known*."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.seen = 0
        self.strange: list[Any] = []

    def note(self, address: Any) -> None:
        self.seen += 1
        if not (
            isinstance(address, tuple) and address[0] == "127.0.0.1" and address[1] in self.known
        ):
            self.strange.append(address)


_listening: list[Sockets] = []


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        for sockets in _listening:
            sockets.note(arguments[1])


@cache
def _install_hook() -> None:
    """Install the audit hook that sees every connection; a hook cannot be removed."""
    sys.addaudithook(_record)


@contextmanager
def listening() -> Iterator[Sockets]:
    """Yield the socket connections of the block."""
    _install_hook()
    sockets = Sockets()
    _listening.append(sockets)
    try:
        yield sockets
    finally:
        _listening.remove(sockets)


class Field(Internet):
    """An internet in which every dialled address except the web's is forbidden."""

    def __init__(self, dns: DnsServer, web: RawServer, plc: RawServer, roots: Authority) -> None:
        super().__init__(dns, web, plc, roots)
        self.forbidden: list[str] = []

    @classmethod
    @asynccontextmanager
    async def started(cls, roots: Authority, sockets: Sockets) -> AsyncIterator["Field"]:  # type: ignore[override]
        async with super().started(roots) as field:
            sockets.known |= {field.dns.port, field.web.port, field.plc.port}
            field.site(GOOD, "/", respond("hello"))
            for name, address in INNER_NAMES.items():
                field.dns.say(name, "A", address)
            yield field

    async def dial(self, address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        if (address, port) != (WEB, 443):
            if address != UNREACHABLE:
                self.forbidden.append(f"{address}:{port}")
            raise httpcore.ConnectError
        return await pool.dial("127.0.0.1", self.web.port, seconds)
