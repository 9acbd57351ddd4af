"""A fake internet in its own process; the handle selects the fault and its place.

    python -m tests.attack.hostile_internet FOLDER

Prints a JSON list (the ports of its name server, web and directory, and the file of its roots) and
runs until its standard input closes. A handle is `ROLE-KIND-NUMBER.example.com`.
"""

import asyncio
import gzip
import json
import random
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import dns.message
import dns.rdatatype

from service.platforms.egress.pool import MAX_BODY_BYTES
from tests.platforms.bluesky_login import session
from tests.platforms.dns_server import NODATA, NXDOMAIN, DnsServer, Reply
from tests.platforms.internet import WEB, document
from tests.platforms.raw import Answer, RawServer, Request, drip, endless, hang, head, respond
from tests.platforms.web import Authority

ROLES = ("well", "server", "directory", "well-known", "did-web", "names")
"""The roles that can return bad answers; `well` is no server's role."""
CHUNKED = head(transfer_encoding="chunked")
BOMB = gzip.compress(bytes(50 * 1024 * 1024))
GIGABYTE = head(content_length=str(1 << 30))
NOISE = random.Random(5).randbytes(64 * 1024)


def _json(body: object, **headers: str) -> bytes:
    """Return an answer with the content type of JSON; *body* need not be JSON."""
    return respond(body, 200, content_type="application/json", **headers)


KINDS: dict[str, Answer] = {
    "compression bomb": _json(BOMB, content_encoding="gzip"),
    "bomb without a label": _json(BOMB),
    "bomb in chunks": head(transfer_encoding="gzip, chunked") + b"%x\r\n" % len(BOMB) + BOMB,
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 100),
    "one endless header": endless(b"HTTP/1.1 200 OK\r\nx-", b"a" * 4096),
    "headers that drip": drip(b"HTTP/1.1 200 OK\r\nx: ", b"x", 0.05),
    "body that drips": drip(head(content_length="100000") + b"{", b" ", 0.05),
    "chunks that drip": drip(CHUNKED, b"1\r\n \r\n", 0.05),
    "1 GB": endless(GIGABYTE, b" " * 65536),
    "endless chunks": endless(CHUNKED, b"1\r\n \r\n" * 1000),
    "one endless chunk": endless(CHUNKED + b"ffffffffffffffff\r\n", b" " * 65536),
    "an endless name of a chunk": endless(CHUNKED + b"1;", b"x" * 4096),
    "endless trailers": endless(CHUNKED + b"0\r\n", b"a: b\r\n" * 100),
    "1xx for ever": endless(b"", b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" * 10),
    "nonsense": endless(b"", NOISE),
    "nonsense for a body": _json(NOISE),
    "deep lists": _json("[" * MAX_BODY_BYTES),
    "deep objects": _json('{"a":' * (MAX_BODY_BYTES // 5)),
    "a long number": _json('{"id": ' + "9" * (MAX_BODY_BYTES - 9) + "}"),
    "many small fields": respond({f"{n}": n for n in range(MAX_BODY_BYTES // 18)}),
    "a body too short": head(content_length="1000") + b"{}",
    "a body too long": head(content_length="2") + b"{}" * 100_000,
    "a length below zero": head(content_length="-1") + b"{}",
    "a length that is none": head(content_length="9" * 5000) + b"{}",
    "silence": hang(),
}
AT_NAMES = {
    "silence": Reply(silent=True),
    "many answers": Reply(tuple(f'"{"x" * 200} {number}"' for number in range(250))),
    "long strings": Reply((" ".join(['"' + "x" * 255 + '"'] * 200),)),
    "a long chain": Reply(('"x"',), chain=tuple(f"n{number}.example.net" for number in range(200))),
    "cut short": Reply(truncated=True),
    "nonsense": Reply(),
    "another's answer": Reply(),
}


def plans() -> list[tuple[str, str]]:
    """Return every kind in every role."""
    named = [(role, kind) for kind in KINDS for role in ROLES[1:-1]]
    return [*named, *(("names", kind) for kind in AT_NAMES)]


class Site:
    """The site that a handle, a host or a DID derived from it stands for."""

    def __init__(self, role: int, kind: int, number: int) -> None:
        self.role = ROLES[role]
        self._kind = kind
        self.label = f"{role}-{kind}-{number}"
        letters = f"{role:02}{kind:02}{number:06}".translate(str.maketrans("0123456789", LETTERS))
        self.did = f"did:plc:{letters:z<24}"

    @classmethod
    def of_host(cls, host: str) -> "Site":
        return cls(*map(int, host.partition(".")[0].split("-")[-3:]))

    @classmethod
    def of_did(cls, did: str) -> "Site":
        digits = did[8:18].translate(str.maketrans(LETTERS, "0123456789"))
        return cls(int(digits[:2]), int(digits[2:4]), int(digits[4:]))

    @property
    def handle(self) -> str:
        return f"{self.label}.example.com"

    @property
    def answer(self) -> Answer:
        return list(KINDS.values())[self._kind]

    @property
    def kind_of_names(self) -> str:
        return list(AT_NAMES)[self._kind]


LETTERS = "abcdefghij"


def handle(role: str, kind: str, number: int) -> str:
    """Return the handle that selects *role*, *kind* and *number*."""
    kinds = AT_NAMES if role == "names" else KINDS
    place = list(kinds).index(kind) if kind else 0
    return Site(ROLES.index(role), place, number).handle


class Names(DnsServer):
    def answer(self, wire: bytes, protocol: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        if not name.endswith(".example.com"):
            return NXDOMAIN.to(query)
        if not name.startswith("_atproto."):
            return (Reply((WEB,)) if kind == "A" else NODATA).to(query)
        site = Site.of_host(name.removeprefix("_atproto."))
        if site.role == "names":
            return self._bad(site.kind_of_names, query)
        if site.role == "well-known":
            return NODATA.to(query)
        did = f"did:web:{site.handle}" if site.role == "did-web" else site.did
        return Reply((f'"did={did}"',)).to(query)

    def _bad(self, kind: str, query: dns.message.Message) -> bytes | None:
        if kind == "nonsense":
            return NOISE[:500]
        if kind == "another's answer":
            return Reply(('"did=did:plc:z"',)).to(dns.message.make_query("a.example.net", "TXT"))
        reply = AT_NAMES[kind]
        return None if reply.silent else reply.to(query)


class Web(RawServer):
    def _answer(self, request: Request) -> Answer:
        site = Site.of_host(request.host)
        if site.role in ("well-known", "did-web"):
            return site.answer
        if request.path.endswith("createSession"):
            if site.role == "server":
                return site.answer
            return respond(session(did=site.did, handle=site.handle, active=True))
        return respond({}, 404)


class Directory(RawServer):
    def _answer(self, request: Request) -> Answer:
        site = Site.of_did(request.path.split("/")[1])
        if site.role == "directory":
            return site.answer
        return respond(document(site.did, site.handle, f"https://pds-{site.label}.example.com"))


async def main(folder: str) -> None:
    authority = Authority(Path(folder))
    async with AsyncExitStack() as stack:
        names = await stack.enter_async_context(Names.started())
        web = await stack.enter_async_context(Web.started(authority.context()))
        directory = await stack.enter_async_context(Directory.started())
        endpoints: Iterable[object] = (names.port, web.port, directory.origin, str(authority.roots))
        print(json.dumps(list(endpoints)), flush=True)  # noqa: T201 - read by the parent process
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
