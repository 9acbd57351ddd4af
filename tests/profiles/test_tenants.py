"""Tenants that are deleted, beside a server that goes on."""

import asyncio

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.build import build
from tests.support.bluesky import Bluesky, SandboxBluesky, is_live
from tests.support.running import Running, refusal_of

TABLES = (
    "profiles",
    "connections",
    "credentials",
    "sessions",
    "events",
    "idempotency_records",
    "api_keys",
    "tenants",
)


async def delete(service: Running, tenant_id: str) -> bool:
    """What `postcore tenants delete` does."""
    async with build(service.settings) as built:
        return await built.profiles.delete_tenant(tenant_id)


async def test_a_deleted_tenant_leaves_nothing(service: Running, bluesky: Bluesky) -> None:
    """No row that names it, and no session at the server; what it spent on the account stays
    spent, and what another tenant has stays as it is."""
    person, other = await bluesky.person(), await service.new_tenant()
    others_key, _ = await service.new_key(tenant_id=other)
    kept = await service.connect(person.handle, person.app_password, api_key=others_key)
    gone = await service.connect(person.handle, person.app_password, idempotency_key="k")
    token = service.session(gone.profile_key).refresh_token
    assert await delete(service, service.tenant_id)
    for table in TABLES:
        tenants = {row["tenant_id"] for row in service.rows(f"SELECT tenant_id FROM {table}")}
        assert service.tenant_id not in tenants, table
    assert not await is_live(bluesky.origin, token)
    assert len(service.rows("SELECT * FROM login_debits")) == 2
    assert await is_live(bluesky.origin, service.session(kept.profile_key).refresh_token)
    assert not await delete(service, service.tenant_id)


@pytest.mark.parametrize("idempotency_key", ["", "k"])
async def test_a_key_of_a_deleted_tenant_creates_nothing(
    sandboxed: Running, sandbox: SandboxBluesky, idempotency_key: str
) -> None:
    """While it is still in the cache of keys: INVALID_API_KEY, and a session is ended again."""
    person = await sandbox.person()
    await sandboxed.refused("unknown", "x")  # the key is known from here on
    await delete(sandboxed, sandboxed.tenant_id)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sandboxed.profiles.CreateProfile(
            pb.CreateProfileRequest(idempotency_key=idempotency_key), metadata=sandboxed.metadata()
        )
    assert refusal_of(caught.value).reason == "INVALID_API_KEY"
    refusal = await sandboxed.refused(
        person.handle, person.app_password, idempotency_key=idempotency_key
    )
    assert refusal.reason == "INVALID_API_KEY"
    async with asyncio.timeout(5):
        while not sandbox.server.counts["/xrpc/com.atproto.server.deleteSession"]:
            await asyncio.sleep(0.01)
    for table in TABLES:
        assert sandboxed.rows(f"SELECT * FROM {table}") == []
