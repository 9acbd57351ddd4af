"""Connected: a user of a site, connected through the whole service, and what checks make of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import httpx
import pytest

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.session_service_pb2 import LeaseSessionResponse
from service.domain.model import SECOND
from tests.support.running import MovedClock, Refusal, Running, refusal_of

from .sites import AnySite, Person

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
HEALTHY, UNVERIFIED = ("HEALTHY", ""), ("UNVERIFIED", "")
TIMEOUT_SECONDS = 10.0


def broken(reason: str) -> tuple[str, str]:
    return "BROKEN", reason


async def connect(
    service: Running, site: str, username: str, app_password: str, *, profile_key: str | None = None
) -> pb.ConnectProfileResponse:
    credentials = pb.Credentials(site=site, username=username, app_password=app_password)
    return await service.profiles.ConnectProfile(
        pb.ConnectProfileRequest(
            profile_key=profile_key, platform="wordpress", credentials=credentials
        ),
        metadata=service.metadata(),
        timeout=20,
    )


async def refused(service: Running, site: str, username: str, app_password: str) -> Refusal:
    """Return the refusal of a `connect`."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connect(service, site, username, app_password)
    return refusal_of(caught.value)


async def cause(service: Running, site: str, username: str, app_password: str) -> str:
    """Return why the credentials of a `connect` were refused."""
    refusal = await refused(service, site, username, app_password)
    assert refusal.reason == "INVALID_CREDENTIALS", refusal
    assert refusal.metadata["platform"] == "wordpress"
    return refusal.metadata["cause"]


async def until(is_done: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what the service does in the background."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await is_done():
            await asyncio.sleep(0.02)


@dataclass
class Connected:
    """A connection of *person* at *site*, and the service's clock."""

    service: Running
    site: AnySite
    clock: MovedClock
    person: Person
    key: str = field(default="")

    async def connect(self) -> pb.ConnectProfileResponse:
        reply = await connect(
            self.service,
            self.site.home,
            self.person.login,
            self.person.app_password,
            profile_key=self.key or None,
        )
        self.key = reply.profile_key
        return reply

    async def verdict(self, after: int = HOUR + SECOND) -> tuple[str, str]:
        """Return the state and the reason that a check finds, so much later."""
        self.clock.ahead += after
        connection = await self.service.verify(self.key, platform="wordpress")
        state = profile_pb2.ConnectionState.Name(connection.state)
        reason = profile_pb2.ReconnectReason.Name(connection.reconnect_reason)
        return (
            state.removeprefix("CONNECTION_STATE_"),
            reason.removeprefix("RECONNECT_REASON_") if connection.needs_reconnect else "",
        )

    async def lease(self, *, rejected: str = "") -> LeaseSessionResponse:
        return await self.service.lease(self.key, platform="wordpress", rejected=rejected)

    async def disconnect(self) -> None:
        await self.service.profiles.DisconnectPlatform(
            pb.DisconnectPlatformRequest(profile_key=self.key, platform="wordpress"),
            metadata=self.service.metadata(),
            timeout=10,
        )

    async def ours(self) -> set[str]:
        """Return the ids of the application passwords at the site that the service made."""
        names = await self.site.names(self.person.login)
        return {uuid for uuid, name in names.items() if name.startswith("postcore session")}

    async def until_ours(self, count: int) -> None:
        """Wait until the site has *count* application passwords of the service."""

        async def is_done() -> bool:
            return len(await self.ours()) == count

        await until(is_done)

    @property
    def events(self) -> list[str]:
        rows = self.service.rows("SELECT kind FROM events ORDER BY number")
        return [row["kind"] for row in rows]

    @property
    def row(self) -> dict[str, Any]:
        [row] = self.service.rows("SELECT * FROM connections WHERE profile_key = ?", self.key)
        return row


async def publish(lease: LeaseSessionResponse, title: str) -> httpx.Response:
    """Post as a service that holds the lease does."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        return await client.post(
            f"{lease.service_endpoint}/wp/v2/posts",
            headers={"authorization": lease.authorization},
            json={"title": title, "content": "by a lease", "status": "publish"},
        )
