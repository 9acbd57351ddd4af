"""SiteAttacker: leads a service to chosen targets by sites of all platforms."""

import asyncio
from contextlib import suppress
from itertools import product

import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import SECOND
from service.sandbox.sites import SITES
from service.sandbox.sites.site import Site
from tests.attack.field import Field
from tests.attack.hosted_sites import Entry, Step, connected, entry, hops, new_site, served
from tests.attack.row import Figure
from tests.platforms.bluesky_login import PASSWORD
from tests.platforms.dns_server import Reply
from tests.platforms.raw import Answer, Request
from tests.support.running import MovedClock, Refusal, Running, refusal_of

REFUSALS = {"INVALID_CREDENTIALS", "PLATFORM_UNAVAILABLE"}
TRIES = 3
"""Of what can fail because an answer is late on a busy machine."""
PAUSE = 120 * SECOND
"""The time after which a session may be refreshed, and a connection checked, again."""


def of_handle(handle: str) -> Entry:
    return Entry("bluesky", pb.Credentials(handle=handle, app_password=PASSWORD))


class SiteAttacker:
    """Points *service* at chosen targets."""

    def __init__(self, field: Field, service: Running, clock: MovedClock) -> None:
        self.field = field
        self.service = service
        self.clock = clock

    async def _rebound(self, platform: str, address: str) -> list[str]:
        """Lead the name of a connected site to *address*; renew and check."""
        site = new_site(self.field, platform)
        host = site.origin.partition("://")[2]
        key = await self._connected_to(site)
        lease = await self.service.lease(key, platform=platform)
        for kind in ("A", "AAAA"):
            is_kind = (kind == "AAAA") == (":" in address)
            self.field.dns.say(host, kind, Reply((address,) if is_kind else ()))
        self.clock.ahead += PAUSE
        rejected = lease.access_token
        refusal = await self.service.lease_refused(key, platform=platform, rejected=rejected)
        await self.service.verify(key, platform=platform)
        return [] if refusal.reason in REFUSALS else [f"{platform}: {refusal.reason}"]

    async def _connected_to(self, site: Site) -> str:
        """Connect the account of *site*, which can be late on a busy machine."""
        for _ in range(TRIES - 1):
            with suppress(grpc.aio.AioRpcError):
                return await connected(self.service, entry(site))
        return await connected(self.service, entry(site))

    async def hops(self) -> Figure:
        """Redirect each look-up of a site more often than is allowed, and in a circle."""
        passed: list[str] = []
        numbers = range(1, 8)
        for platform, number in product((each.platform for each in SITES), numbers):
            named, hosts = hops(self.field, platform, number)
            passed += await self._refused(named)
            asked = [request.host for request in self.field.web.requests]
            # WordPress's API is looked for at two paths
            times = 2 if platform == "wordpress" else 1
            passed += [host for host in hosts[3:] if host in asked]
            passed += [host for host in hosts if asked.count(host) > 3 * times]
        return self._judged("look-ups that are redirected 2 to 8 times, or in a circle", 21, passed)

    async def _redirected_site(self, step: Step, redirect: bytes) -> None:
        """Answer with *redirect* at one step of a connection's life at a site."""
        field, platform = self.field, step.platform
        site = new_site(field, platform)
        host, good = site.origin.partition("://")[2], served(site)
        met = asyncio.Event()

        def serve(request: Request) -> Answer:
            if not step.matches(request):
                return good(request)
            met.set()
            return redirect

        if step.at == "connect":
            field.web.serve(host, serve)
            await self._reply_of(entry(site))
        else:
            key = await self._connected_to(site)
            lease = await self.service.lease(key, platform=platform)
            field.web.serve(host, serve)
            self.clock.ahead += PAUSE
            if step.at == "renew":
                rejected = lease.access_token
                await self.service.lease_refused(key, platform=platform, rejected=rejected)
                await self.service.verify(key, platform=platform)
            else:
                await self.service.profiles.DeleteProfile(
                    pb.DeleteProfileRequest(profile_key=key), metadata=self.service.metadata()
                )
        async with asyncio.timeout(20):
            await met.wait()

    async def _reply_of(self, named: Entry) -> Refusal | None:
        try:
            await connected(self.service, named)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        return None

    async def _refused(self, named: Entry | str) -> list[str]:
        """Connect by *named*, or by a Bluesky handle; return what is unexpected of the reply."""
        named = of_handle(named) if isinstance(named, str) else named
        refusal = await self._reply_of(named)
        if refusal is None:
            return [f"{named.platform}: connected"]
        return [] if refusal.reason in REFUSALS else [f"{named.platform}: {refusal.reason}"]

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
