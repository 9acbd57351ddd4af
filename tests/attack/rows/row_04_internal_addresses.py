"""Row 4: a handle, a document or a redirect leads inside the network.

The service takes connects, leases and checks over gRPC; its outbound connections lead to the tests'
own internet. Every address that passes the address check is counted when it is dialled, and an
audit hook counts every connection of this process's sockets below that.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from itertools import count, product
from pathlib import Path
from typing import Any

import grpc.aio
import httpcore
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app import build as app
from service.connections.monitor import Monitor
from service.domain.model import SECOND
from service.platforms.egress import pool
from service.storage.migrations import migrate_apart
from tests.attack.address_spellings import ADDRESSES, HOSTS, INNER_NAMES, URLS
from tests.attack.row import Figure, Ground
from tests.platforms.bluesky_login import CREATE, DELETE, PASSWORD, session, xrpc
from tests.platforms.dns_server import DnsServer, Reply
from tests.platforms.internet import UNREACHABLE, WEB, Internet
from tests.platforms.raw import RawServer, respond
from tests.platforms.web import Authority
from tests.support.running import MovedClock, Running, refusal_of, running

GOOD = "good.example.com"
TARGET = "target.example.com"
RESOLVE = "/xrpc/com.atproto.identity.resolveHandle"
REFRESH = "/xrpc/com.atproto.server.refreshSession"
STANDING = "/xrpc/com.atproto.sync.getRepoStatus"
RECORD = "/xrpc/com.atproto.repo.getRecord"
WAYS = ("handle", "did:web", "endpoint", "redirect")
FOLLOWED = "followed.example.com"
STATUSES = (301, 302, 303, 307, 308)
STEPS = (
    *("well-known", "did:web", "directory", "directory's log", "resolver"),
    *("login", "display name", "refresh", "standing", "log-out"),
)
REFUSALS = {"INVALID_CREDENTIALS", "PLATFORM_UNAVAILABLE"}
PAUSE = 120 * SECOND
"""The time after which a session may be refreshed, and a connection checked, again."""


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    clock = MovedClock()
    figures = []
    with pytest.MonkeyPatch.context() as patch, listening() as sockets:
        patch.setattr(Monitor, "run", _rest)
        async with (
            Field.started(Authority(ground.folder), sockets) as field,
            RawServer.started() as resolver,
        ):
            sockets.known |= {resolver.port}
            ways_out = iter((field.context(), field.context(resolver=resolver)))
            patch.setattr(app, "egress_context", lambda *_, **__: next(ways_out))
            async with (
                _service(ground.folder / "one.db", clock) as service,
                _service(ground.folder / "two.db", clock) as resolving,
            ):
                attacker = Attacker(field, service, clock)
                ground.say("forms of addresses and names")
                figures.append(await attacker.forms(part))
                ground.say("answers of DNS that change")
                figures.append(await attacker.rebinding(part))
                ground.say("redirects")
                figures.append(
                    await attacker.redirects(Attacker(field, resolving, clock), resolver, part)
                )
                ground.say("trusted origins in wrong roles")
                figures.append(
                    await attacker.wrong_roles(Attacker(field, resolving, clock), resolver)
                )
    figures.append(
        Figure(
            "sockets of the process that connected to other servers than the tests'",
            f"{len(sockets.strange)} of {sockets.seen}",
            not sockets.strange and sockets.seen > 0,
        )
    )
    return figures


async def _rest(_: Monitor) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def _service(database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    assert migrate_apart(f"sqlite:///{database}")
    async with running(database, {"CHECK_HOURS": "24"}, clock) as service:
        await service.lease_refused("prof_none")  # creates the key for leases
        yield service


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


class Attacker:
    """Points *service* at chosen targets."""

    def __init__(self, field: Field, service: Running, clock: MovedClock) -> None:
        self.field = field
        self.service = service
        self._clock = clock

    async def forms(self, part: float) -> Figure:
        """Try each form at each entry point."""
        named = [*_spread(list(product(WAYS, ADDRESSES, ("alone", "mixed", "alias"))), part)]
        spelt = [*_spread(list(product(WAYS, HOSTS)), part), *_spread(list(enumerate(URLS)), part)]
        passed: list[str] = []
        for way, address, answer in named:
            host = f"{_fresh()}.example.com"
            kind = "AAAA" if ":" in address else "A"
            if answer == "mixed":
                # the second choice, tried if the first does not answer
                self.field.dns.say(host, "A", UNREACHABLE)
                mixed = (address,) if kind == "AAAA" else (UNREACHABLE, address)
                self.field.dns.say(host, kind, Reply(mixed))
            else:
                chain = ("inner.example.net",) * (answer == "alias")
                self.field.dns.say(host, kind, Reply((address,), chain=chain))
            passed += await self._by(way, host)
        for way, form in spelt:
            if isinstance(way, int):
                passed += await self._refused(self._document(form))
            else:
                passed += await self._by(way, form)
        forms = len({address for _, address, _ in named}) + len({form for _, form in spelt})
        return self._judged(
            f"connects by {forms} forms of addresses and names, at each entry point",
            len(named) + len(spelt),
            passed,
        )

    async def rebinding(self, part: float) -> Figure:
        """Let a resolver return a public address first and another one next."""
        tries, passed = 0, []
        for way, address in _spread(list(product(WAYS, ADDRESSES)), part):
            host = f"{_fresh()}.example.com"
            kind = "AAAA" if ":" in address else "A"
            if kind == "AAAA":
                self.field.dns.say(host, "A", WEB)
                self.field.dns.say(host, "AAAA", *([Reply(), Reply((address,))] * 20))
            else:
                self.field.dns.say(host, "A", *([WEB, address] * 20))
            # each answer closes its connection, so that the next request resolves again
            for path in ("/.well-known/atproto-did", "/.well-known/did.json", CREATE):
                self.field.web.on(f"{host}{path}", respond("", 500, connection="close"))
            for _ in range(3):
                tries += 1
                passed += await self._by(way, host)
        for address in _spread(list(ADDRESSES), part):
            # of a connected account whose server's name now resolves elsewhere
            tries += 2
            host, did, handle = self._account()
            key = (await self.service.connect(handle, PASSWORD)).profile_key
            for kind in ("A", "AAAA"):
                self.field.dns.say(
                    host, kind, Reply((address,) if (kind == "AAAA") == (":" in address) else ())
                )
            self._clock.ahead += PAUSE
            passed += await self._lease_refused(key, did)
            await self.service.verify(key)
        return self._judged("connects, leases and checks while DNS answers changed", tries, passed)

    async def redirects(self, resolving: "Attacker", resolver: RawServer, part: float) -> Figure:
        """Answer with a redirect at each step that sends a request."""
        async with RawServer.started() as trap:
            for name in (TARGET, FOLLOWED):
                self.field.dns.say(name, "A", WEB)
            self.field.web.on(TARGET, respond("hello"))
            places = (f"https://{TARGET}/", f"{trap.origin}/", f"//{TARGET}/", "/elsewhere")
            tried = [*_spread(list(product(STEPS, STATUSES, places)), part)]
            for step, status, named in tried:
                place = named
                if step == "well-known":  # followed, within the rules: counted separately
                    place = place.replace(TARGET, FOLLOWED).replace("elsewhere", "followed")
                redirect = respond("", status, location=place, connection="close")
                if step == "resolver":
                    resolver.on(RESOLVE, redirect)
                    await resolving._refused(f"{_fresh()}.example.com")
                else:
                    await self._redirected(step, redirect)
            there = sum(
                TARGET in request.host or request.path == "/elsewhere"
                for server in (self.field.web, self.field.plc, resolver)
                for request in server.requests
            )
            there += sum(
                request.host == FOLLOWED
                and (
                    request.method != "GET" or bool(request.body or request.values("authorization"))
                )
                for request in self.field.web.requests
            )
            steps = len({step for step, _, _ in tried})
            return Figure(
                f"redirects at {steps} steps: bytes and requests where they lead",
                f"{trap.received} bytes, {trap.connections + there} requests, of {len(tried)}",
                not (trap.received or trap.connections or there or self._forbidden()),
            )

    async def _redirected(self, step: str, redirect: bytes) -> None:
        field, number = self.field, _fresh()
        match step:
            case "well-known":
                field.site(f"{number}.example.com", "/.well-known/atproto-did", redirect)
                await self._refused(f"{number}.example.com")
                return
            case "did:web":
                field.site(f"{number}.example.com", "/.well-known/did.json", redirect)
                await self._by("did:web", f"{number}.example.com")
                return
            case "directory" | "directory's log":
                handle, did = f"{number}.example.net", _did(number)
                field.handle(handle, did)
                first = redirect if step == "directory" else respond({"message": "?"}, 404)
                field.plc.on(f"/{did}", first)
                field.plc.on(f"/{did}/log/last", redirect)
                await self._refused(handle)
                return
        host, did, handle = self._account()
        paths = {"login": CREATE, "display name": RECORD, "refresh": REFRESH, "standing": STANDING}
        path = paths.get(step, DELETE)
        field.web.on(f"{host}{path}", redirect)
        if step == "login":
            await self._refused(handle)
            return
        key = (await self.service.connect(handle, PASSWORD)).profile_key
        self._clock.ahead += PAUSE
        if step == "refresh":
            await self._lease_refused(key, did)
        elif step == "standing":
            field.web.on(f"{host}{REFRESH}", xrpc(400, "ExpiredToken"))
            await self.service.verify(key)
        elif step == "log-out":
            await self.service.profiles.DeleteProfile(
                pb.DeleteProfileRequest(profile_key=key), metadata=self.service.metadata()
            )
        await field.web.called(path)
        async with asyncio.timeout(20):
            while not any(
                (request.host, request.path) == (host, path) for request in field.web.requests
            ):
                await asyncio.sleep(0.01)

    async def wrong_roles(self, resolving: "Attacker", resolver: RawServer) -> Figure:
        """Use the directory and the resolver as account servers, or as a did:web's host."""
        before = len(self.field.plc.requests), len(resolver.requests)
        passed: list[str] = []
        for port in (self.field.plc.port, resolver.port):
            passed += await self._refused(self._document(f"http://127.0.0.1:{port}"))
            passed += await self._refused(self._document(f"https://127.0.0.1:{port}"))
            passed += await self._by("did:web", f"127.0.0.1%3A{port}")
            did = _did(_fresh())
            handle = f"{_fresh()}.example.com"
            resolver.on(RESOLVE, respond({"did": did}))
            self.field.document(did, handle, f"http://127.0.0.1:{port}")
            passed += await resolving._refused(handle)
        asked = [
            request
            for server, seen in zip((self.field.plc, resolver), before, strict=True)
            for request in server.requests[seen:]
        ]
        logins = [
            request
            for request in asked
            if request.method != "GET" or PASSWORD.encode() in request.body
        ]
        return self._judged(
            "logins at trusted origins in the wrong role", 8, [*passed, *map(str, logins)]
        )

    async def _by(self, way: str, host: str) -> list[str]:
        """Try *host* by *way*; return a description of each connection that was let through."""
        if way == "handle":
            return await self._refused(host)
        if way == "endpoint":
            return await self._refused(self._document(f"https://{host}"))
        handle = f"{_fresh()}.example.net"
        if way == "redirect":
            place = "".join(one for one in host if " " < one <= "~")
            redirect = respond("", 302, location=f"https://{place}/did", connection="close")
            self.field.site(handle, "/.well-known/atproto-did", redirect)
            return await self._refused(handle)
        # the characters that a text record can hold
        printable = "".join(one for one in host if one.isprintable() and one not in '"\\')
        self.field.handle(handle, f"did:web:{printable}")
        return await self._refused(handle)

    def _document(self, endpoint: str) -> str:
        """Return a handle whose document names *endpoint*."""
        handle, did = f"{_fresh()}.example.net", _did(_fresh())
        self.field.handle(handle, did)
        self.field.document(did, handle, endpoint)
        return handle

    def _account(self) -> tuple[str, str, str]:
        """Return the host, the DID and the handle of an account without faults."""
        number = _fresh()
        host, did, handle = f"{number}.example.com", _did(number), f"{number}.example.net"
        self.field.handle(handle, did)
        self.field.document(did, handle, f"https://{host}")
        opened = respond(session(did=did, handle=handle, active=True), connection="close")
        self.field.site(host, CREATE, opened)
        for path, answer in ((STANDING, {"did": did, "active": True}), (RECORD, {}), (DELETE, {})):
            self.field.web.on(f"{host}{path}", respond(answer, connection="close"))
        return host, did, handle

    async def _refused(self, handle: str) -> list[str]:
        try:
            await self.service.connect(handle, PASSWORD)
        except grpc.aio.AioRpcError as error:
            reason = refusal_of(error).reason
            return [] if reason in REFUSALS else [f"{handle}: {reason}"]
        return [f"{handle}: connected"]

    async def _lease_refused(self, key: str, did: str) -> list[str]:
        """Reject its token, which forces a renewal; no reachable server can renew it."""
        token = self.service.session(key).access_token
        refusal = await self.service.lease_refused(key, rejected=token)
        return [] if refusal.reason in REFUSALS else [f"{did}: {refusal.reason}"]

    def _forbidden(self) -> int:
        count, self.field.forbidden = len(self.field.forbidden), []
        return count

    def _judged(self, what: str, tries: int, passed: list[str]) -> Figure:
        forbidden = self._forbidden()
        return Figure(
            f"{what}: connections to forbidden addresses, or unexpected replies",
            f"{forbidden} and {len(passed)} of {tries}",
            not forbidden and not passed and tries > 0,
        )


_numbers = count()


def _fresh() -> str:
    return f"n{next(_numbers)}"


def _did(number: str) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return f"did:plc:{''.join(letters[int(digit)] for digit in number[1:]):z>24}"


def _spread(all_of_them: Sequence[Any], part: float) -> Sequence[Any]:
    """Return that part of the items, spread from first to last."""
    return all_of_them[:: max(1, round(1 / part))]
