"""Ghost for tests: a site to connect to and to break, of the sandbox and the real one."""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import grpc.aio
import httpx
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from service.domain.clock import SystemClock
from service.domain.model import Micros
from service.platforms.ghost.keys import AdminKey
from service.sandbox.sites.ghost import KEY_ID, REGENERATED, SECRET, GhostSite
from tests.ghost.server import Integration, RealGhost
from tests.support.running import Refusal, Running, refusal_of

API = "/ghost/api/admin"
PROOF = f"{API}/users/?limit=1&fields=id"


class Site(Protocol):
    """The operations of both sites. Each has one integration of the test's own."""

    @property
    def home(self) -> str: ...

    @property
    def api_key(self) -> str: ...

    async def regenerate(self) -> str:
        """Regenerate the key, and return the new one."""

    async def delete(self) -> None:
        """Delete the integration."""

    async def titles(self) -> list[str]:
        """Return the titles of the posts."""


@dataclass
class SandboxSite:
    """The stand-in, with direct access to it."""

    ghost: GhostSite
    api_key: str = field(default=f"{KEY_ID}:{SECRET}", repr=False)

    @property
    def home(self) -> str:
        return self.ghost.origin

    async def regenerate(self) -> str:
        self.ghost.change("regenerate", "")
        return f"{KEY_ID}:{REGENERATED}"

    async def delete(self) -> None:
        self.ghost.change("delete", "")

    async def titles(self) -> list[str]:
        return [str(post["title"]) for post in self.ghost.posts]

    def asked(self, path: str) -> int:
        """Return how often *path* below the API was requested."""
        return sum(
            times for key, times in self.ghost.counts.items() if key.endswith(f"{API}/{path}")
        )

    @property
    def proofs(self) -> int:
        """How often a token of ours was sent."""
        return self.asked("users/")


class RealSite:
    """The real site, with an integration of the test's own."""

    def __init__(self, ghost: RealGhost, integration: Integration) -> None:
        self.home = ghost.home
        self.api_key = integration.api_key
        self._ghost = ghost
        self._integration = integration

    async def regenerate(self) -> str:
        self._integration = await self._ghost.regenerate(self._integration)
        return self._integration.api_key

    async def delete(self) -> None:
        await self._ghost.delete_integration(self._integration)

    async def titles(self) -> list[str]:
        return await self._ghost.posts()


@asynccontextmanager
async def started_stand_in() -> Any:
    ghost = GhostSite()
    await ghost.start()
    try:
        yield SandboxSite(ghost)
    finally:
        await ghost.stop()


def settings(site: Site) -> dict[str, str]:
    """The settings that let the service reach *site*."""
    host = site.home.partition("://")[2].partition("/")[0]
    # no test reaches a real directory
    nowhere = "http://127.0.0.1:9"
    origins = f"http://{host}"
    return {"PLC_URL": nowhere, "HANDLE_RESOLVER_URL": nowhere, "TRUSTED_ORIGINS": origins}


async def connect(
    service: Running, site: str, api_key: str, *, profile_key: str | None = None
) -> pb.ConnectProfileResponse:
    request = pb.ConnectProfileRequest(
        profile_key=profile_key,
        platform="ghost",
        credentials=pb.Credentials(site=site, api_key=api_key),
    )
    reply: pb.ConnectProfileResponse = await service.profiles.ConnectProfile(
        request, metadata=service.metadata(), timeout=10
    )
    return reply


async def refused(service: Running, site: str, api_key: str, **more: Any) -> Refusal:
    """Return the refusal of a `connect`."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connect(service, site, api_key, **more)
    return refusal_of(caught.value)


async def post(lease: sessions_pb.LeaseSessionResponse, title: str) -> httpx.Response:
    """Post by what was lent, as a caller does."""
    return await ask(
        "POST",
        f"{lease.service_endpoint}/posts/",
        {"authorization": lease.authorization},
        {"posts": [{"title": title}]},
    )


async def ask(
    method: str, url: str, headers: Mapping[str, str] = {}, body: object = None
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, url, headers=headers, json=body)


def signed(api_key: str, later: Micros = 0) -> dict[str, str]:
    """Return the header with a token that is signed *later* than now."""
    token, _ = AdminKey.parse(api_key).token(SystemClock().now() + later)
    return {"authorization": f"Ghost {token}"}
