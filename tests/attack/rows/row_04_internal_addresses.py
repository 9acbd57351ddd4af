"""Row 4: a handle, a document or a redirect leads inside the network.

The service takes connects, leases and checks over gRPC; its outbound connections lead to the tests'
own internet. Every address that passes the address check is counted when it is dialled, and an
audit hook counts every connection of this process's sockets below that.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app import build as app
from service.connections.monitor import Monitor
from service.domain.model import Scope
from service.sandbox.sites import SITES
from service.storage.migrations import migrate_apart
from tests.attack.address_spellings import ADDRESSES, HOSTS, INNER_NAMES, URLS
from tests.attack.field import Field, listening
from tests.attack.hosted_sites import STEPS as SITE_STEPS
from tests.attack.hosted_sites import WAYS as SITE_WAYS
from tests.attack.hosted_sites import Entry, Step, fresh, served, site_at
from tests.attack.row import Figure, Ground
from tests.attack.site_attacker import PAUSE, REFUSALS, TRIES, SiteAttacker, of_handle
from tests.platforms.bluesky_login import CREATE, DELETE, PASSWORD, session, xrpc
from tests.platforms.dns_server import NODATA, NXDOMAIN, Reply
from tests.platforms.internet import UNREACHABLE, WEB
from tests.platforms.raw import RawServer, respond
from tests.platforms.web import Authority
from tests.support.running import MovedClock, Refusal, Running, running

TARGET = "target.example.com"
RESOLVE = "/xrpc/com.atproto.identity.resolveHandle"
REFRESH = "/xrpc/com.atproto.server.refreshSession"
STANDING = "/xrpc/com.atproto.sync.getRepoStatus"
RECORD = "/xrpc/com.atproto.repo.getRecord"
WAYS = (*product(["bluesky"], ("handle", "did:web", "endpoint", "redirect")), *SITE_WAYS)
"""How a host comes to be named, by platform."""
FOLLOWED = "followed.example.com"
STATUSES = (301, 302, 303, 307, 308)
Way = tuple[str, str]
STEPS: tuple[str | Step, ...] = (
    *("well-known", "did:web", "directory", "directory's log", "resolver"),
    *("login", "display name", "refresh", "standing", "log-out"),
    *SITE_STEPS,
)
"""Bluesky's by name."""


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
                figures += await attacker.forms(part)
                ground.say("answers of DNS that change")
                figures.append(await attacker.rebinding(part))
                ground.say("redirects")
                figures.append(
                    await attacker.redirects(Attacker(field, resolving, clock), resolver, part)
                )
                figures.append(await attacker.hops())
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
        scopes = Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE
        service.leasing_key, _ = await service.new_key(*scopes)
        yield service


class Attacker(SiteAttacker):
    """Names targets at every entry point of every platform."""

    async def forms(self, part: float) -> list[Figure]:
        """Try each form at each entry point; compare the replies with those for missing names."""
        named = [*_spread(list(product(WAYS, ADDRESSES, ("alone", "mixed", "alias"))), part)]
        spelt = [*_spread(list(product(WAYS, HOSTS)), part), *_spread(list(enumerate(URLS)), part)]
        passed: list[str] = []
        for way, address, answer in named:
            host = f"{fresh()}.example.com"
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
                for site_way in SITE_WAYS:
                    # of an empty field the refusal is another one
                    passed += await self._by(site_way, form or "https:///")
            else:
                passed += await self._by(way, form)
        forms = len({address for _, address, _ in named}) + len({form for _, form in spelt})
        tries = len(named) + len(spelt) + len(SITE_WAYS) * len(_spread(URLS, part))
        inner = [*_spread(list(product(WAYS, (*INNER_NAMES, *ADDRESSES))), part)]
        told = [f"{way}: {name}" for way, name in inner if await self._tells(way, name)]
        return [
            self._judged(
                f"connects by {forms} forms of addresses and names, at each of {len(WAYS)} entry "
                "points of 4 platforms",
                tries,
                passed,
            ),
            self._judged(
                "replies that tell a name inside the network from one that does not exist",
                2 * len(inner),
                told,
            ),
        ]

    async def _tells(self, way: Way, name: str) -> bool:
        """Return whether the reply differs if *name*, or a name of that address, does not exist."""
        address = INNER_NAMES.get(name, name)
        name = name if name in INNER_NAMES else f"{fresh()}.example.com"
        kind = "AAAA" if ":" in address else "A"
        for _ in range(TRIES):
            replies = []
            for answer in (address, NXDOMAIN):
                for each in ("A", "AAAA"):
                    missing = NODATA if answer == address else NXDOMAIN
                    self.field.dns.say(name, each, answer if each == kind else missing)
                replies.append(await self._reply(way, name))
            self.field.dns.say(name, kind, address)
            if replies[0] == replies[1]:
                return False
        return True

    async def rebinding(self, part: float) -> Figure:
        """Let a resolver return a public address first and another one next."""
        tries, passed = 0, []
        for way, address in _spread(list(product(WAYS, ADDRESSES)), part):
            host = f"{fresh()}.example.com"
            kind = "AAAA" if ":" in address else "A"
            if kind == "AAAA":
                self.field.dns.say(host, "A", WEB)
                self.field.dns.say(host, "AAAA", *([Reply(), Reply((address,))] * 20))
            else:
                self.field.dns.say(host, "A", *([WEB, address] * 20))
            if way[0] != "bluesky":
                site = site_at(way[0], host)
                self.field.web.serve(host, served(site))
            # each answer closes its connection, so that the next request resolves again
            for path in ("/.well-known/atproto-did", "/.well-known/did.json", CREATE):
                self.field.web.on(f"{host}{path}", respond("", 500, connection="close"))
            for _ in range(3):
                tries += 1
                passed += await self._by(way, host)
        for address in _spread(list(ADDRESSES), part):
            # of a connected account whose server's name now resolves elsewhere
            tries += 2 + 2 * len(SITES)
            for platform in (each.platform for each in SITES):
                passed += await self._rebound(platform, address)
            host, did, handle = self._account()
            key = (await self.service.connect(handle, PASSWORD)).profile_key
            for kind in ("A", "AAAA"):
                self.field.dns.say(
                    host, kind, Reply((address,) if (kind == "AAAA") == (":" in address) else ())
                )
            self.clock.ahead += PAUSE
            passed += await self._lease_refused(key, did)
            await self.service.verify(key)
        return self._judged("connects, leases and checks while DNS answers changed", tries, passed)

    async def redirects(self, resolving: "Attacker", resolver: RawServer, part: float) -> Figure:
        """Answer with a redirect at each step that sends a request."""
        async with RawServer.started() as trap:
            for name in (TARGET, FOLLOWED):
                self.field.dns.say(name, "A", WEB)
            self.field.web.on(TARGET, respond("hello"))
            places = (
                *(f"https://{TARGET}/", f"{trap.origin}/", f"//{TARGET}/", "/elsewhere"),
                *(f"http://{TARGET}/", "https://10.0.0.1/"),
            )
            tried = [*_spread(list(product(STEPS, STATUSES, places)), part)]
            for step, status, named in tried:
                place = named
                if step == "well-known" or (isinstance(step, Step) and step.is_found):
                    # followed, within the rules: counted separately
                    place = place.replace(TARGET, FOLLOWED).replace("elsewhere", "followed")
                redirect = respond("", status, location=place, connection="close")
                if isinstance(step, Step):
                    await self._redirected_site(step, redirect)
                elif step == "resolver":
                    resolver.on(RESOLVE, redirect)
                    await resolving._refused(f"{fresh()}.example.com")
                else:
                    await self._redirected(step, redirect)
            there = sum(
                TARGET in request.host or request.path == "/elsewhere"
                for server in (self.field.web, self.field.plc, resolver)
                for request in server.requests
            )
            there += sum(
                (request.host == FOLLOWED or request.path == "/followed")
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
        field, number = self.field, fresh()
        match step:
            case "well-known":
                field.site(f"{number}.example.com", "/.well-known/atproto-did", redirect)
                await self._refused(f"{number}.example.com")
                return
            case "did:web":
                field.site(f"{number}.example.com", "/.well-known/did.json", redirect)
                await self._by(("bluesky", "did:web"), f"{number}.example.com")
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
        self.clock.ahead += PAUSE
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
            passed += await self._by(("bluesky", "did:web"), f"127.0.0.1%3A{port}")
            for way in SITE_WAYS:
                for form in (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"):
                    passed += await self._by(way, form)
            did = _did(fresh())
            handle = f"{fresh()}.example.com"
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
            if request.method != "GET"
            or PASSWORD.encode() in request.body
            or request.path.startswith(("/wp-json", "/ghost", "/users/", "/.well-known/webfinger"))
        ]
        return self._judged(
            "logins at trusted origins in the wrong role",
            8 + 4 * len(SITE_WAYS),
            [*passed, *map(str, logins)],
        )

    async def _by(self, way: Way, host: str) -> list[str]:
        """Try *host* by *way*; return a description of each connection that was let through."""
        return await self._refused(self._entry(way, host))

    def _entry(self, way: Way, host: str) -> Entry:
        """Return the credentials of a connect that names *host* by *way*."""
        if way in SITE_WAYS:
            return SITE_WAYS[way](self.field, host)
        match way[1]:
            case "handle":
                return of_handle(host)
            case "endpoint":
                return of_handle(self._document(f"https://{host}"))
        handle = f"{fresh()}.example.net"
        if way[1] == "redirect":
            place = "".join(one for one in host if " " < one <= "~")
            redirect = respond("", 302, location=f"https://{place}/did", connection="close")
            self.field.site(handle, "/.well-known/atproto-did", redirect)
            return of_handle(handle)
        # the characters that a text record can hold
        printable = "".join(one for one in host if one.isprintable() and one not in '"\\')
        self.field.handle(handle, f"did:web:{printable}")
        return of_handle(handle)

    async def _reply(self, way: Way, host: str) -> Refusal | None:
        """Return the refusal of a connect that names *host* by *way*, without that name."""
        refusal = await self._reply_of(self._entry(way, host))
        if refusal is None:
            return None
        shown = {name: value.replace(host, "HOST") for name, value in refusal.metadata.items()}
        message = refusal.message.replace(host, "HOST")
        return replace(refusal, message=message, metadata=shown)

    def _document(self, endpoint: str) -> str:
        """Return a handle whose document names *endpoint*."""
        handle, did = f"{fresh()}.example.net", _did(fresh())
        self.field.handle(handle, did)
        self.field.document(did, handle, endpoint)
        return handle

    def _account(self) -> tuple[str, str, str]:
        """Return the host, the DID and the handle of an account without faults."""
        number = fresh()
        host, did, handle = f"{number}.example.com", _did(number), f"{number}.example.net"
        self.field.handle(handle, did)
        self.field.document(did, handle, f"https://{host}")
        opened = respond(session(did=did, handle=handle, active=True), connection="close")
        self.field.site(host, CREATE, opened)
        for path, answer in ((STANDING, {"did": did, "active": True}), (RECORD, {}), (DELETE, {})):
            self.field.web.on(f"{host}{path}", respond(answer, connection="close"))
        return host, did, handle

    async def _lease_refused(self, key: str, did: str) -> list[str]:
        """Reject its token, which forces a renewal; no reachable server can renew it."""
        token = self.service.session(key).access_token
        refusal = await self.service.lease_refused(key, rejected=token)
        return [] if refusal.reason in REFUSALS else [f"{did}: {refusal.reason}"]


def _did(number: str) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return f"did:plc:{''.join(letters[int(digit)] for digit in number[1:]):z>24}"


def _spread(all_of_them: Sequence[Any], part: float) -> Sequence[Any]:
    """Return that part of the items, spread from first to last."""
    return all_of_them[:: max(1, round(1 / part))]
