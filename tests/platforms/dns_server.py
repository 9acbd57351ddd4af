"""DNS server: answers from a table, or wrongly, over UDP and TCP on one loopback port."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass(frozen=True)
class Reply:
    """The answer to one query: *records* in zone-file form, at the end of *chain*."""

    records: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    truncated: bool = False
    silent: bool = False
    seconds: float = 0.0
    """The delay of the answer, over UDP."""

    def to(self, query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(self.rcode)
        if self.truncated:
            response.flags |= dns.flags.TC
        owner, kind = query.question[0].name, query.question[0].rdtype
        for hop in self.chain:
            response.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", f"{hop}."))
            owner = dns.name.from_text(hop)
        if self.records:
            response.answer.append(dns.rrset.from_text_list(owner, 60, "IN", kind, self.records))
        return response.to_wire(max_size=65535, want_shuffle=False)


NODATA = Reply()
NXDOMAIN = Reply(rcode=dns.rcode.NXDOMAIN)
SERVFAIL = Reply(rcode=dns.rcode.SERVFAIL)
REFUSED = Reply(rcode=dns.rcode.REFUSED)
TRUNCATED = Reply(truncated=True)
NEVER = Reply(silent=True)


def text(*strings: str) -> str:
    """A TXT record of several strings, in zone-file form."""
    return " ".join(f'"{string}"' for string in strings)


class DnsServer:
    """*asked* has each query: name, type, and protocol."""

    def __init__(self) -> None:
        self.port = 0
        self.late = 0.0
        self.asked: list[tuple[str, str, str]] = []
        self._table: dict[tuple[str, str], list[Reply]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def started(cls, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Self]:
        server = cls()
        loop = asyncio.get_running_loop()
        listener, datagrams = _one_port(address, port)
        server.port = listener.getsockname()[1]
        transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), sock=datagrams)
        streams = await asyncio.start_server(server._accept, sock=listener)
        try:
            yield server
        finally:
            transport.close()
            streams.close()
            for call in server._calls:
                call.cancel()
            await asyncio.gather(*server._calls, return_exceptions=True)
            await streams.wait_closed()

    def say(self, name: str, kind: str, *replies: Reply | str) -> None:
        """Answer *kind* of *name* with *replies* in turn, the last of them ever after.

        A text is a record. A name that is not in the table at all is NXDOMAIN.
        """
        self._table[name.lower(), kind] = [
            reply if isinstance(reply, Reply) else Reply((reply,)) for reply in replies
        ]

    def times_asked(self, name: str) -> int:
        return sum(asked == name for asked, _, _ in self.asked)

    def answer(self, wire: bytes, protocol: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind, protocol))
        replies = self._table.get((name, kind))
        if replies is None:
            known = any(name == other for other, _ in self._table)
            reply = NODATA if known else NXDOMAIN
        else:
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        self.late = reply.seconds
        return None if reply.silent else reply.to(query)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.create_task(self._serve(reader, writer))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    wire = self.answer(await reader.readexactly(length), "tcp")
                    if wire is not None:
                        writer.write(struct.pack("!H", len(wire)) + wire)
                        await writer.drain()
        finally:
            writer.transport.abort()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = self._server.answer(data, "udp")
        if wire is not None:
            send = self._transport.sendto
            asyncio.get_running_loop().call_later(self._server.late, send, wire, addr)


def _one_port(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A listener and a datagram socket that share a port: *port*, or one that is free."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(20):
        listener = socket.create_server((address, port), family=family)
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        try:
            datagrams.bind(listener.getsockname())
        except OSError:
            listener.close()
            datagrams.close()
        else:
            return listener, datagrams
    raise OSError("no port that is free for both UDP and TCP")
