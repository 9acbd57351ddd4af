"""Upgrades: nodes of one program go on while another has brought the schema further.

`python -m tests.figures upgrade` does it with the former program itself.
"""

import asyncio

import asyncpg
import grpc.aio
import pytest
from alembic.config import Config

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.storage import migrations
from service.storage.migrations import HEAD
from service.storage.migrations.postgres import ATTEMPTS, LOCK_SECONDS, upgrade
from service.storage.postgres import STATEMENT_SECONDS
from tests.support.bluesky import SandboxBluesky
from tests.support.engines import rows
from tests.support.postgres import Cluster
from tests.support.running import Running, refusal_of

pytestmark = pytest.mark.postgres


@pytest.fixture
def engine() -> str:
    return "postgres"


async def test_a_node_goes_on_on_a_newer_schema(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """One that has more columns, tables and indexes: every kind of call is answered as before, on
    what was there and on what comes."""
    one, other = [await sandbox.person() for _ in range(2)]
    key = (await sandboxed.connect(one.handle, one.app_password)).profile_key
    await sandboxed.lease(key)
    for table in sandboxed.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        name = table["tablename"]
        await sandboxed.execute(f"ALTER TABLE {name} ADD COLUMN later BIGINT NOT NULL DEFAULT 0")
        await sandboxed.execute(f"CREATE INDEX {name}_later ON {name} (later)")
    await sandboxed.execute("CREATE TABLE later (profile_key TEXT REFERENCES profiles)")
    await sandboxed.execute("UPDATE alembic_version SET version_num = '9999'")

    new = (await sandboxed.connect(other.handle, other.app_password)).profile_key
    again = await sandboxed.connect(one.handle, one.app_password, profile_key=key)
    assert again.profile_key == key
    for each in (key, new):
        assert (await sandboxed.verify(each)).platform == "bluesky"
        assert (await sandboxed.lease(each)).access_token
    metadata, calls = sandboxed.metadata(), sandboxed.profiles
    listed = await calls.ListProfiles(pb.ListProfilesRequest(), metadata=metadata)
    assert [profile.profile_key for profile in listed.profiles] == [key, new]
    request = pb.ListProfilesRequest(needs_reconnect_only=True)
    assert not (await calls.ListProfiles(request, metadata=metadata)).profiles
    ended = pb.DisconnectPlatformRequest(profile_key=key, platform="bluesky")
    await calls.DisconnectPlatform(ended, metadata=metadata)
    await calls.DeleteProfile(pb.DeleteProfileRequest(profile_key=new), metadata=metadata)
    got = await calls.GetProfile(pb.GetProfileRequest(profile_key=key), metadata=metadata)
    assert not got.profile.connected_platforms
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sandboxed.lease(new)
    assert refusal_of(caught.value).reason == "PROFILE_NOT_FOUND"


async def test_a_migration_that_waits_lets_calls_by(postgres: Cluster) -> None:
    """While somebody reads a table for long, as a backup does, who reads it meanwhile is answered
    within the time that a node gives a statement; once they are done, the schema is brought up to
    date."""
    name = await postgres.new_database()
    url = postgres.url(name)
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    await asyncio.to_thread(lambda: asyncio.run(upgrade(config, url, "0003")))
    backup, node, beside = [await asyncpg.connect(url) for _ in range(3)]
    reading = backup.transaction()
    await reading.start()
    await backup.fetch("SELECT COUNT(*) FROM connections")
    migrating = asyncio.create_task(
        asyncio.to_thread(lambda: asyncio.run(upgrade(config, url, HEAD)))
    )
    try:
        async with asyncio.timeout(ATTEMPTS * LOCK_SECONDS):
            while not await beside.fetchval("SELECT COUNT(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)
        await node.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
        assert await node.fetchval("SELECT COUNT(*) FROM connections") == 0
        assert not migrating.done()
    finally:
        await reading.rollback()
        await migrating
        for connection in (backup, node, beside):
            await connection.close()
    assert rows(url, "SELECT version_num FROM alembic_version") == [{"version_num": HEAD}]
    await postgres.drop(name)
