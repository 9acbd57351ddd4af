"""Running: the whole service in this process, and a client of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from postcore.profiles.v1 import platform_service_pb2_grpc as platforms_grpc
from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from postcore.profiles.v1 import session_service_pb2_grpc as sessions_grpc
from postcore.profiles.v1 import webhook_service_pb2 as webhooks_pb
from postcore.profiles.v1 import webhook_service_pb2_grpc as webhooks_grpc
from service.access.api_keys import ApiKeys
from service.app.serving import serving
from service.app.startup import open_store
from service.connections.timeouts import TIMEOUTS, Timeouts
from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.crypto.vault import Vault
from service.domain.clock import Clock, SystemClock
from service.domain.ids import random_id
from service.domain.model import DEFAULT_SCOPES, Micros, Profile, Scope, Session, Tenant
from service.domain.records import Envelope, SecretAddress, SessionEnvelope
from service.settings import Settings
from tests.support.engines import rows


@dataclass(frozen=True)
class Refusal:
    """A call's error as a caller sees it."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]
    fields: tuple[str, ...] = ()
    retry_after: int | None = None
    help_url: str = ""
    trailers: dict[str, str] = field(default_factory=dict, compare=False)
    wire: bytes = field(default=b"", compare=False, repr=False)


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Decode *error* and its details."""
    trailers = dict(error.trailing_metadata() or ())
    status = rpc_status.from_call(error)
    if status is None:
        return Refusal(error.code(), "", error.details() or "", {}, trailers=trailers)
    info = error_details_pb2.ErrorInfo()
    bad, retry, help_ = (
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.Help(),
    )
    for detail in status.details:
        for kind in (info, bad, retry, help_):
            detail.Unpack(kind)
    assert info.domain == "profiles.postcore.dev"
    return Refusal(
        error.code(),
        info.reason,
        status.message,
        dict(info.metadata),
        tuple(violation.field for violation in bad.field_violations),
        retry.retry_delay.seconds or None,
        help_.links[0].url if help_.links else "",
        {key: value for key, value in trailers.items() if not key.endswith("-bin")},
        status.SerializeToString(),
    )


class MovedClock:
    """The machine's clock, set forward by a test."""

    def __init__(self) -> None:
        self.ahead: Micros = 0

    def now(self) -> Micros:
        return SystemClock().now() + self.ahead


@dataclass
class Running:
    """A service that takes calls, with a tenant and its key."""

    settings: Settings
    address: str
    channel: grpc.aio.Channel
    tenant_id: str = ""
    api_key: str = field(default="", repr=False)
    leasing_key: str = field(default="", repr=False)
    http: str = ""
    admin: str = ""
    webhook_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self.profiles = profiles_grpc.ProfileServiceStub(self.channel)
        self.platforms = platforms_grpc.PlatformServiceStub(self.channel)
        self.sessions = sessions_grpc.SessionServiceStub(self.channel)
        self.webhooks = webhooks_grpc.WebhookServiceStub(self.channel)
        self._making_key = asyncio.Lock()

    @property
    def database(self) -> Path:
        return self.settings.database_file

    def metadata(self, api_key: str | None = None) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", api_key or self.api_key),)

    async def connect(
        self,
        handle: str,
        app_password: str,
        *,
        profile_key: str | None = None,
        platform: str = "bluesky",
        idempotency_key: str = "",
        api_key: str | None = None,
        timeout: float | None = 10,  # noqa: ASYNC109 - grpc's own
    ) -> pb.ConnectProfileResponse:
        return await self.profiles.ConnectProfile(
            pb.ConnectProfileRequest(
                profile_key=profile_key,
                platform=platform,
                credentials=pb.Credentials(handle=handle, app_password=app_password),
                idempotency_key=idempotency_key,
            ),
            metadata=self.metadata(api_key),
            timeout=timeout,
        )

    async def refused(self, *args: Any, **kwargs: Any) -> Refusal:
        """Return the refusal of a `connect`."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.connect(*args, **kwargs)
        return refusal_of(caught.value)

    async def lease(
        self,
        profile_key: str,
        *,
        rejected: str = "",
        platform: str = "bluesky",
        api_key: str | None = None,
        timeout: float | None = 10,  # noqa: ASYNC109 - grpc's own
    ) -> sessions_pb.LeaseSessionResponse:
        if api_key is None:
            async with self._making_key:  # concurrent callers create only one key
                self.leasing_key = self.leasing_key or (await self.new_key(Scope.SESSIONS_LEASE))[0]
            api_key = self.leasing_key
        return await self.sessions.LeaseSession(
            sessions_pb.LeaseSessionRequest(
                profile_key=profile_key, platform=platform, rejected_access_token=rejected
            ),
            metadata=self.metadata(api_key),
            timeout=timeout,
        )

    async def lease_refused(self, *args: Any, **kwargs: Any) -> Refusal:
        """Return the refusal of a `lease`."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.lease(*args, **kwargs)
        return refusal_of(caught.value)

    async def webhook(self, url: str, *event_types: str) -> tuple[str, str]:
        """Create a webhook; return its id and its secret."""
        created = await self.webhooks.CreateWebhook(
            webhooks_pb.CreateWebhookRequest(url=url, event_types=event_types),
            metadata=await self.webhook_metadata(),
        )
        return created.webhook.webhook_id, created.secret

    async def webhook_metadata(self) -> tuple[tuple[str, str], ...]:
        self.webhook_key = self.webhook_key or (await self.new_key(Scope.WEBHOOKS_WRITE))[0]
        return self.metadata(self.webhook_key)

    async def verify(
        self,
        profile_key: str,
        *,
        platform: str = "bluesky",
        timeout: float = 15,  # noqa: ASYNC109 - grpc's own
    ) -> profile_pb2.Connection:
        reply = await self.profiles.VerifyConnection(
            pb.VerifyConnectionRequest(profile_key=profile_key, platform=platform),
            metadata=self.metadata(),
            timeout=timeout,
        )
        return reply.connection

    async def new_key(self, *scopes: Scope, tenant_id: str = "") -> tuple[str, str]:
        """Create a key beside the server, as the command does; return it and its id."""
        async with open_store(self.settings) as store:
            keyring = Keyring(self.settings.keyring_file)
            plain, key = ApiKeys(store.api_keys, keyring, SystemClock()).mint(
                tenant_id or self.tenant_id, "test", frozenset(scopes) or DEFAULT_SCOPES
            )
            assert await store.api_keys.add(key)
        return plain, key.key_id

    async def become_a_tenant(self) -> None:
        """Create a tenant with a key, and use it from now on."""
        clock = SystemClock()
        tenant = Tenant(f"ten_{random_id()}", "another", clock.now())
        async with open_store(self.settings) as store:
            api_keys = ApiKeys(store.api_keys, Keyring(self.settings.keyring_file), clock)
            plain, key = api_keys.mint(tenant.tenant_id, "test", DEFAULT_SCOPES)
            await store.tenants.create(tenant)
            assert await store.api_keys.add(key)
        self.tenant_id, self.api_key = tenant.tenant_id, plain

    async def new_tenant(self) -> str:
        async with open_store(self.settings) as store:
            tenant = Tenant(f"ten_{random_id()}", "another", SystemClock().now())
            await store.tenants.create(tenant)
        return tenant.tenant_id

    async def new_profile(self) -> str:
        """Create an empty profile of the tenant."""
        key = f"prof_{random_id()}"
        async with open_store(self.settings) as store:
            await store.profiles.create(self.tenant_id, Profile(key, None, SystemClock().now()))
        return key

    def session(self, profile_key: str = "") -> Session:
        """Open the stored session of a profile (default: the only one)."""
        [row] = self.rows(
            "SELECT * FROM connections JOIN sessions USING (tenant_id, profile_key, platform)"
            " WHERE ? IN ('', profile_key)",
            profile_key,
        )
        address = SecretAddress(
            row["tenant_id"],
            row["profile_key"],
            row["platform"],
            row["account_id"],
            row["origin"],
            row["generation"],
        )
        sealed = Envelope(row["ring_key_id"], row["envelope"])
        vault = Vault(Keyring(self.settings.keyring_file))
        return vault.open_session(SessionEnvelope(address, sealed))

    async def revoke_key(self, key_id: str) -> None:
        async with open_store(self.settings) as store:
            assert await store.api_keys.revoke(key_id, SystemClock().now())

    async def execute(self, statement: str, *parameters: object) -> None:
        """Change the database beside the server."""
        # in a thread: the server, which may hold a lock, runs in this one
        await asyncio.to_thread(self.rows, statement, *parameters)

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """Read rows from the database, beside the server."""
        return rows(self.settings.database_url, statement, *parameters)


PATIENT = Timeouts(
    call=70, connect=60, check=60, reservation=90, claim=90, claim_wait=90, picked=180
)
"""For tests that end hanging calls themselves: no timeout of the service does."""
FAST = {"LOOKUPS_PER_TENANT": "100000", "LOOKUPS_PER_HOST": "100000"}
"""For tests, which connect faster than a caller may."""


@asynccontextmanager
async def running(
    database: Path,
    settings: Mapping[str, str],
    clock: Clock | None = None,
    timeouts: Timeouts = TIMEOUTS,
) -> AsyncIterator[Running]:
    """Run the service on *database* (in today's schema) with *settings* by name."""
    read = Settings.read(
        {
            "POSTCORE_DATABASE_URL": f"sqlite:///{database}",
            "POSTCORE_KEYRING_FILE": str(database.with_name("keyring.json")),
            "POSTCORE_GRPC_ADDRESS": "127.0.0.1:0",
            "POSTCORE_HTTP_ADDRESS": "127.0.0.1:0",
            "POSTCORE_ADMIN_ADDRESS": "127.0.0.1:0",
            "POSTCORE_DRAIN_PAUSE_SECONDS": "0",
            **{f"POSTCORE_{name}": value for name, value in {**FAST, **settings}.items()},
        }
    )
    if not read.keyring_file.exists():
        create_keyring(read.keyring_file, new_keys("test"))
    async with (
        serving(read, clock=clock or SystemClock(), timeouts=timeouts) as started,
        grpc.aio.insecure_channel(started.grpc) as channel,
    ):
        service = Running(read, started.grpc, channel, http=started.http, admin=started.admin)
        await service.become_a_tenant()
        await started.warm  # the first one loads the SDK, which would exceed a deadline
        yield service
