"""Connected: an account that is connected through the whole service, and what checks make of it."""

from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import httpx
import pytest

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.session_service_pb2 import LeaseSessionResponse
from service.domain.model import SECOND, Scope
from tests.support.running import MovedClock, Refusal, Running, refusal_of

from .servers import STATUSES, AnyServer, Person, ask

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
HEALTHY, UNVERIFIED = ("HEALTHY", ""), ("UNVERIFIED", "")
REVOKED = ("BROKEN", "APP_PASSWORD_REVOKED")


async def connect(
    service: Running, handle: str, access_token: str, *, profile_key: str | None = None
) -> pb.ConnectProfileResponse:
    credentials = pb.Credentials(handle=handle, access_token=access_token)
    return await service.profiles.ConnectProfile(
        pb.ConnectProfileRequest(
            profile_key=profile_key, platform="mastodon", credentials=credentials
        ),
        metadata=service.metadata(),
        timeout=20,
    )


async def refused(service: Running, handle: str, access_token: str) -> Refusal:
    """Return the refusal of a `connect`."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connect(service, handle, access_token)
    return refusal_of(caught.value)


async def cause(service: Running, handle: str, access_token: str) -> str:
    """Return why the credentials of a `connect` were refused."""
    refusal = await refused(service, handle, access_token)
    assert refusal.reason == "INVALID_CREDENTIALS", refusal
    assert refusal.metadata["platform"] == "mastodon"
    return refusal.metadata["cause"]


@dataclass
class Connected:
    """A connection of *person* at *server*, and the service's clock."""

    service: Running
    server: AnyServer
    clock: MovedClock
    person: Person
    key: str = ""
    leasing_key: str = field(default="", repr=False)

    async def connect(self, token: str = "") -> pb.ConnectProfileResponse:
        reply = await connect(
            self.service,
            self.person.handle,
            token or self.person.token,
            profile_key=self.key or None,
        )
        self.key = reply.profile_key
        return reply

    async def verdict(self, after: int = HOUR + SECOND) -> tuple[str, str]:
        """Return the state and the reason that a check finds, so much later."""
        self.clock.ahead += after
        connection = await self.service.verify(self.key, platform="mastodon")
        state = profile_pb2.ConnectionState.Name(connection.state)
        reason = profile_pb2.ReconnectReason.Name(connection.reconnect_reason)
        return (
            state.removeprefix("CONNECTION_STATE_"),
            reason.removeprefix("RECONNECT_REASON_") if connection.needs_reconnect else "",
        )

    async def lease(self, *, rejected: str = "") -> LeaseSessionResponse:
        return await self.service.lease(
            self.key, platform="mastodon", rejected=rejected, api_key=await self._permitted()
        )

    async def lease_refused(self, *, rejected: str = "") -> Refusal:
        return await self.service.lease_refused(
            self.key, platform="mastodon", rejected=rejected, api_key=await self._permitted()
        )

    async def _permitted(self) -> str:
        """Return a key that may lease credentials."""
        if not self.leasing_key:
            scopes = Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE
            self.leasing_key, _ = await self.service.new_key(*scopes)
        return self.leasing_key

    async def disconnect(self) -> None:
        await self.service.profiles.DisconnectPlatform(
            pb.DisconnectPlatformRequest(profile_key=self.key, platform="mastodon"),
            metadata=self.service.metadata(),
            timeout=10,
        )

    @property
    def events(self) -> list[str]:
        rows = self.service.rows("SELECT kind FROM events ORDER BY number")
        return [row["kind"] for row in rows]

    @property
    def row(self) -> dict[str, Any]:
        [row] = self.service.rows("SELECT * FROM connections WHERE profile_key = ?", self.key)
        return row


async def publish(lease: LeaseSessionResponse, text: str) -> httpx.Response:
    """Post as a service that holds the lease does."""
    return await ask(
        f"{lease.service_endpoint}{STATUSES}",
        method="POST",
        json={"status": text},
        headers={"authorization": lease.authorization},
    )
