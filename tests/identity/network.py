"""Network: name servers, web servers and addresses, all in one process inside a namespace."""

import asyncio
import errno
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from tests.identity.nameserver import Answering, Lie, NameServer
from tests.identity.namespace_setup import ROUTE_SECONDS
from tests.identity.places import DIRECTORY, LISTENING, NAME_SERVER, SECOND_NAME_SERVER, SILENT, WEB
from tests.identity.situation import Names, Page, Situation, document
from tests.platforms.dns_server import NODATA, NXDOMAIN, Reply
from tests.platforms.raw import Answer, RawServer, Wire, close_after, hang, head, respond
from tests.platforms.web import Authority

PORTS = (80, 8443)
"""Other ports of `WEB` with a server: plain HTTP, and TLS."""


class Network:
    """The world as a situation wants it. Only `dns` knows the situations; `second` is empty."""

    def __init__(
        self, authority: Authority, dns: NameServer, second: NameServer, *webs: RawServer
    ) -> None:
        self.authority = authority
        self.dns = dns
        self.second = second
        self.webs = webs

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path) -> AsyncIterator[Self]:
        authority = Authority(folder)
        context = authority.context()
        async with AsyncExitStack() as stack:
            dns = await stack.enter_async_context(NameServer.started(NAME_SERVER, 53))
            second = await stack.enter_async_context(NameServer.started(SECOND_NAME_SERVER, 53))
            for address in SILENT:
                await stack.enter_async_context(_silent(address))
            webs = [
                await stack.enter_async_context(RawServer.started(context, 443, LISTENING)),
                await stack.enter_async_context(RawServer.started(None, PORTS[0], (WEB,))),
                await stack.enter_async_context(RawServer.started(context, PORTS[1], (WEB,))),
            ]
            dns.say(DIRECTORY, "A", WEB)
            yield cls(authority, dns, second, *webs)

    def arrange(self, situation: Situation, names: Names) -> None:
        """Let the world be for *names* as *situation* says."""
        self._texts(situation, names)
        pages = {names.into(where): page for where, page in situation.pages.items()}
        if situation.file:
            pages[f"{names.handle}/.well-known/atproto-did"] = situation.file
        described = situation.document or document()
        if names.did.startswith("did:web:"):
            pages.setdefault(f"{names.did[8:]}/.well-known/did.json", described)
        else:
            for did in (names.did, names.did.replace(":", "%3A")):
                pages[f"{DIRECTORY}/{did}"] = described
        given = {names.into(host): answers for host, answers in situation.addresses.items()}
        for where, page in pages.items():
            host = where.partition("/")[0].partition(":")[0]
            if host not in given:
                self.dns.say(host, "A", WEB)
            for web in self.webs:
                web.on(where.replace(":8443/", "/"), _answer(page, names))
        for host, answers in given.items():
            self._address(host, answers, names)
        self._certificate(situation, names.handle)

    def _texts(self, situation: Situation, names: Names) -> None:
        answers = [_named(answer, names) for answer in situation.txt]
        if answers != [NXDOMAIN]:
            self.dns.set(f"_atproto.{names.handle}", "TXT", *answers)

    def _address(self, host: str, answers: tuple[str | Answering, ...], names: Names) -> None:
        texts = [answer for answer in answers if isinstance(answer, str)]
        if len(texts) < len(answers):
            for kind, answer in zip(("A", "AAAA"), answers, strict=True):
                reply = Reply((answer,)) if isinstance(answer, str) else _named(answer, names)
                self.dns.set(host, kind, reply)
            return
        for kind, mark in (("A", "."), ("AAAA", ":")):
            records = tuple(address for address in texts if (":" in address) == (mark == ":"))
            self.dns.say(host, kind, Reply(records) if records else NODATA)

    def _certificate(self, situation: Situation, host: str) -> None:
        match situation.certificate:
            case "expired":
                self.authority.expired.add(host)
            case "self-signed":
                self.authority.self_signed.add(host)
            case "misnamed":
                self.authority.misnamed[host] = "another.situations.net"


def _named(answer: Answering, names: Names) -> Answering:
    if isinstance(answer, Lie):
        reply = _named(answer.reply, names)
        assert isinstance(reply, Reply)
        return Lie(reply, answer.how)
    return Reply(
        tuple(map(names.into, answer.records)),
        tuple(map(names.into, answer.chain)),
        answer.rcode,
        answer.truncated,
        answer.silent,
    )


def _answer(page: Page, names: Names) -> Answer:
    body = names.body(page)
    headers = {name.replace("-", "_"): names.into(value) for name, value in page.headers.items()}
    if page.gzip:
        body = gzip.compress(body)
        headers["content_encoding"] = "gzip"
    headers.setdefault("content_type", "application/json" if body[:1] == b"{" else "text/plain")
    length = {"content_length": str(len(body))}
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    whole = respond(body, page.status, **headers)
    short = head(page.status, **headers, content_length=str(len(body) + 1)) + body
    ways: dict[str, Answer] = {
        "": whole,
        "cut": close_after(short),
        "hang": hang(short),
        "slow": _slow(whole),
        "hints": b"HTTP/1.1 103 X\r\n\r\n" + whole,
        "reset": _reset,
        "chunked": head(page.status, **headers, transfer_encoding="chunked") + chunk,
        "pieces": _in_pieces(head(page.status, **headers, **length), body),
    }
    return ways[page.way]


async def _reset(wire: Wire) -> None:
    wire.hang_up()


def _slow(answer: bytes) -> Answer:
    async def send(wire: Wire) -> None:
        await asyncio.sleep(1)
        await wire.send(answer)

    return send


def _in_pieces(start: bytes, body: bytes) -> Answer:
    async def answer(wire: Wire) -> None:
        await wire.send(start)
        for at in range(len(body)):
            await wire.send(body[at : at + 1])
            await asyncio.sleep(0.001)

    return answer


@asynccontextmanager
async def _silent(address: str) -> AsyncIterator[None]:
    """A listener on port 443 whose queue is full: the kernel drops further connections."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener, socket.socket(family) as first:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, 443))
        listener.listen(0)
        async with asyncio.timeout(ROUTE_SECONDS):
            # the kernel can take an IPv6 route away again for a moment
            while (error := first.connect_ex((address, 443))) == errno.ENETUNREACH:
                await asyncio.sleep(0.05)
        assert error == 0, errno.errorcode[error]
        yield
