"""Traffic: a `serve --sandbox` as a user starts it, and every kind of call, once or more."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any

import grpc.aio
import httpx
import pytest

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.sandbox import SANDBOX_TENANT
from service.app.startup import create_api_key, open_store
from service.crypto.keyring import KeyPurpose, Keyring
from service.domain.clock import SystemClock
from service.domain.model import DAY, Micros, Scope, Tenant
from service.sandbox.remote import Remote
from service.settings import Settings
from tests.cli.home import DEADLINE, Home, Started
from tests.support.receiver import Receiver
from tests.support.running import Running

PAUSE_SECONDS = 0.3
OLD = (
    "INSERT INTO profiles (tenant_id, profile_key, created_at) VALUES (:tenant, :profile, 0)",
    "INSERT INTO connections (tenant_id, profile_key, platform, account_id, username, display_name,"
    " origin, generation, state, connected_at, last_verified_at, document_at, next_check_at)"
    " VALUES (:tenant, :profile, 'bluesky', 'did:plc:old', 'old.test', 'old', 'https://old.test',"
    " 1, 'HEALTHY', 0, 0, 0, :due)",
    "INSERT INTO credentials (tenant_id, profile_key, platform, generation, ring_key_id, envelope)"
    " VALUES (:tenant, :profile, 'bluesky', 1, :key, x'01')",
    "INSERT INTO sessions (tenant_id, profile_key, platform, generation, ring_key_id, envelope,"
    " expires_at, refreshed_at) VALUES (:tenant, :profile, 'bluesky', 1, :key, x'01', 0, 0)",
)
APP_PASSWORDS = {"user.bsky.social": "abcd-efgh-ijkl-mnop", "alice.test": "alic-eapp-pass-word"}


def plant(settings: Settings, due: Micros, *profile_keys: str) -> None:
    """Add profiles, each with a connection whose next check is at *due*, and damaged secrets."""
    key_id = Keyring(settings.keyring_file).active(KeyPurpose.SEAL).key_id
    with closing(sqlite3.connect(settings.database_file, timeout=DEADLINE)) as database, database:
        for profile in profile_keys:
            given = {"tenant": SANDBOX_TENANT, "profile": profile, "key": key_id, "due": due}
            for statement in OLD:
                database.execute(statement, given)


@dataclass
class Shop:
    """A running sandbox, a client of it, and its control surface."""

    server: Started
    client: Running
    control: Remote
    receiver: Receiver
    """Of the tenant's webhook."""

    def _http(self) -> httpx.AsyncClient:
        address, key = f"http://{self.client.http}", {"x-api-key": self.client.api_key}
        return httpx.AsyncClient(base_url=address, headers=key, timeout=DEADLINE, trust_env=False)

    @property
    def sites(self) -> list[dict[str, Any]]:
        """A request to connect to each site, with its sample account."""
        return [
            {"platform": site["platform"], "credentials": site["credentials"]}
            for site in self.control.ask("GET", "sites")["sites"]
        ]

    async def failing(self, platform: str, count: int) -> None:
        """Break the site of *platform*, and try to connect to it *count* times."""
        self.control.ask("POST", "sites", platform, "break", status=503)
        [body] = [site for site in self.sites if site["platform"] == platform]
        async with self._http() as http:
            for _ in range(count):
                answer = await http.post("/profiles/connect", json=body)
                assert answer.status_code == 503, answer.text

    async def refused(self, count: int) -> None:
        """Make *count* calls with an API key that does not exist."""
        for _ in range(count):
            with pytest.raises(grpc.aio.AioRpcError, match="UNAUTHENTICATED"):
                await self.client.platforms.ListPlatforms(
                    platforms_pb.ListPlatformsRequest(),
                    metadata=self.client.metadata("pc_live_unknown"),
                )

    async def usual(self) -> list[str]:
        """Make what a good day brings; return the connected profiles of Bluesky."""
        client = self.client
        replies = [
            await client.connect(*person, timeout=DEADLINE) for person in APP_PASSWORDS.items()
        ]
        async with self._http() as http:
            answer = await http.post("/webhooks", json={"url": f"{self.receiver.origin}/in"})
            assert answer.is_success, answer.text
            for site in self.sites:
                answer = await http.post("/profiles/connect", json=site)
                assert answer.is_success, answer.text
            assert (await http.get("/profiles")).status_code == 200
            assert (await http.get("/profiles/prof_gone")).status_code == 404
        profiles = [reply.profile_key for reply in replies]
        for _ in range(3):
            await client.lease(profiles[0], timeout=DEADLINE)
            await client.verify(profiles[0])
            await client.profiles.GetProfile(
                pb.GetProfileRequest(profile_key=profiles[0]), metadata=client.metadata()
            )
        await self.refused(2)
        return profiles

    async def steady(self, profile: str) -> None:
        """Go on with a few calls every PAUSE_SECONDS, until cancelled."""
        async with self._http() as http:
            [webhook] = (await http.get("/webhooks")).json()["webhooks"]
            replay = f"/webhooks/{webhook['webhookId']}/replay"
            while True:
                answer = await http.post(replay, params={"since": "2026-01-01T00:00:00Z"})
                assert answer.is_success, answer.text
                await self.client.lease(profile, timeout=DEADLINE)
                await self.client.verify(profile)
                await http.get("/profiles")
                await self.refused(1)
                await asyncio.sleep(PAUSE_SECONDS)

    async def budget_spent(self, count: int) -> None:
        """Connect one account *count* times, after which its budget refuses."""
        handle = "alice.test"
        for _ in range(count):
            with suppress(grpc.aio.AioRpcError):
                await self.client.connect(handle, APP_PASSWORDS[handle])
        refusal = await self.client.refused(handle, APP_PASSWORDS[handle])
        assert refusal.reason == "RATE_LIMIT_EXCEEDED"


@asynccontextmanager
async def serving_sandbox(home: Home, **settings: str) -> AsyncIterator[Shop]:
    """Start `python -m service serve --sandbox` in *home*, with a tenant that watches."""
    read = home.settings()
    now = SystemClock().now()
    async with open_store(read) as store:
        await store.tenants.create(Tenant(SANDBOX_TENANT, "sandbox", now))
    # connections are counted at the start, and 30 s later
    plant(read, now + DAY, "prof_old")
    key = await create_api_key(read, SANDBOX_TENANT, "test", frozenset(Scope))
    assert key is not None
    async with Receiver.started() as receiver:
        settings["WEBHOOK_ORIGINS"] = receiver.origin
        with home.serve("--sandbox", **settings) as server:
            [opened] = [
                json.loads(line) for line in server.errors.splitlines() if "sandbox is open" in line
            ]
            async with grpc.aio.insecure_channel(server.address) as channel:
                client = Running(
                    read, server.address, channel, SANDBOX_TENANT, key, key, server.http
                )
                watch = client.profiles.WatchConnections(
                    pb.WatchConnectionsRequest(), metadata=client.metadata()
                )
                await asyncio.wait_for(watch.read(), DEADLINE)
                yield Shop(server, client, Remote(opened["control"]), receiver)
                watch.cancel()
