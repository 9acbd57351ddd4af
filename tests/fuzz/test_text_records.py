"""Text records: a name server's answer gives records, proof that there are none, or nothing."""

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.nameserver
import dns.query
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import PlatformUnavailable
from service.platforms.egress import dns as names
from service.platforms.egress.dns import NameNotFound, Resolver

from .target import EDITS, SEEDS, Read, Target, derived, own

NAME = "_atproto.alice.example.com"
DID = b"did=did:plc:aaaabbbbccccddddeeee2345"


class FixedServer(dns.nameserver.Nameserver):
    """A name server that answers *wire* with the id of the query."""

    wire = b""

    def __str__(self) -> str:
        return "server"

    def kind(self) -> str:
        return "server"

    def is_always_max_size(self) -> bool:
        return True

    def answer_nameserver(self) -> str:
        return "server"

    def answer_port(self) -> int:
        return 53

    async def async_query(self, request: Any, *_: Any, **__: Any) -> Any:
        wire = request.id.to_bytes(2, "big") + self.wire[2:]
        response = dns.message.from_wire(wire, ignore_trailing=True)
        # as the real one does
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response


def answered(kind: str, *records: bytes) -> bytes:
    """Return the wire form of an answer of *records* to a query of that *kind*."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
    kind_in = struct.pack("!HH", KINDS[kind], 1)
    head = struct.pack("!6H", 0, 0x8180, 1, len(records), 0, 0)
    return (
        head
        + labels
        + b"\0"
        + kind_in
        + b"".join(
            b"\xc0\x0c" + kind_in + struct.pack("!IH", 60, len(record)) + record
            for record in records
        )
    )


def string(text: bytes) -> bytes:
    return bytes([len(text)]) + text


KINDS = {"TXT": 16, "A": 1, "AAAA": 28}
WHOLE = {
    "TXT": answered("TXT", string(DID), string(b"a") + string(b"b")),
    "A": answered("A", bytes([93, 184, 216, 34])),
}


@contextmanager
def opened(_: Path) -> Iterator[Read]:
    server = FixedServer()  # type: ignore[no-untyped-call]
    resolver = Resolver(["127.0.0.1"])
    resolver._current()[0].resolver.nameservers = [server]
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "QUERY_SECONDS", 0.2)

        def ask(data: bytes, kind: str) -> None:
            server.wire = derived(data, WHOLE[kind])
            asked = resolver.texts(NAME) if kind == "TXT" else resolver.addresses(NAME)
            try:
                found = runner.run(asked)
            except NameNotFound:
                # NOERROR or NXDOMAIN: the code is in the lower half of the fourth byte
                assert server.wire[3] & 15 in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
            except PlatformUnavailable:
                assert server.wire != WHOLE[kind]
            else:
                assert found or kind == "TXT"  # non-ASCII records are dropped
                assert all(isinstance(text, str) and text.isascii() for text in found)

        def read(data: bytes) -> None:
            for kind in WHOLE:
                ask(data, kind)

        yield read


TARGET = Target(
    opened, (*SEEDS, *(b"\0" + wire for wire in WHOLE.values()), b"\0" + answered("TXT"))
)

STRINGS = st.binary(max_size=40).map(string)
RECORDS = st.lists(st.lists(STRINGS, max_size=3).map(b"".join), max_size=70).map(
    lambda records: answered("TXT", *records)
)


@settings(deadline=None)
@given(EDITS | own(RECORDS) | own(st.binary()))
def test_any_answer(read: Read, data: bytes) -> None:
    """The result is ASCII texts and addresses, or none only if the server says so.

    Everything else is PLATFORM_UNAVAILABLE; no other exception is raised.
    """
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
