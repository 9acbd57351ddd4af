"""The audit trail: every write leaves a row, with its change or alone; refusals are limited."""

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.access.audit import MAX_REFUSALS_AT_ONCE, AuditTrail
from service.domain import audit
from service.domain.audit import AuditedCall
from service.domain.errors import ProfileNotFound, ServiceUnavailable
from service.domain.model import DAY, SECOND, Profile, Tenant
from service.storage.opening import open_engine
from service.storage.statements import audit as sql
from service.storage.store import SqlStore
from service.transport.boundary import AUDITED_SCOPES
from service.transport.servicers import SCOPES
from tests.support.bluesky import SandboxBluesky
from tests.support.engines import rows
from tests.support.running import MovedClock, Running, running

NOW = 1_800_000_000 * SECOND


async def refusal(call: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call


async def every_write(service: Running, sandbox: SandboxBluesky) -> tuple[str, str, list[str]]:
    """Make each write of the contract once, and some refused ones. Return the profile, the
    account, and the secrets that were sent."""
    person = await sandbox.person()
    meta = service.metadata()
    await service.profiles.CreateProfile(pb.CreateProfileRequest(), metadata=meta)
    key = (await service.connect(person.handle, person.app_password)).profile_key
    named = {"profile_key": key, "platform": "bluesky"}
    await service.profiles.VerifyConnection(pb.VerifyConnectionRequest(**named), metadata=meta)
    await service.lease(key)
    await service.profiles.GetProfile(pb.GetProfileRequest(profile_key=key), metadata=meta)
    await service.refused(person.handle, "wrong-pass-word-here", profile_key=key)
    await service.refused(person.handle, person.app_password, platform="hunter2")
    await refusal(service.connect(person.handle, "x", api_key="pc_live_unknown_hunter2"))
    request = pb.DisconnectPlatformRequest(**named)
    await service.profiles.DisconnectPlatform(request, metadata=meta)
    await refusal(service.profiles.DisconnectPlatform(request, metadata=meta))
    await service.profiles.DeleteProfile(pb.DeleteProfileRequest(profile_key=key), metadata=meta)
    return key, person.did, [person.app_password, "hunter2", "wrong-pass", person.handle]


async def test_every_write_leaves_one_row(
    sandbox: SandboxBluesky, database: Path, database_url: str
) -> None:
    """Who, what, of which profile, and how it ended; never a secret, and none for a read."""
    settings = {**sandbox.settings(), "DATABASE_URL": database_url}
    async with running(database, settings) as service:
        key, account, secrets = await every_write(service, sandbox)
    found = rows(database_url, "SELECT * FROM audit ORDER BY at, number")
    described = sorted(
        (row["method"], row["outcome"], row["profile_key"], row["platform"], row["account_id"])
        for row in found
        if row["method"] != "CreateProfile"
    )
    assert described == sorted(
        [
            ("ConnectProfile", "INVALID_API_KEY", "", "", ""),
            ("ConnectProfile", "INVALID_CREDENTIALS", key, "bluesky", ""),
            ("ConnectProfile", "OK", key, "bluesky", account),
            ("ConnectProfile", "UNSUPPORTED_PLATFORM", "", "", ""),
            ("DeleteProfile", "OK", key, "", ""),
            ("DisconnectPlatform", "OK", key, "bluesky", ""),
            ("DisconnectPlatform", "PLATFORM_NOT_CONNECTED", key, "bluesky", ""),
            ("LeaseSession", "OK", key, "bluesky", account),
            ("VerifyConnection", "OK", key, "bluesky", account),
        ]
    )
    [created] = [row for row in found if row["method"] == "CreateProfile"]
    assert created["profile_key"].startswith("prof_")
    for row in found:
        is_known = row["outcome"] != "INVALID_API_KEY"
        assert row["tenant_id"] == (service.tenant_id if is_known else "")
        assert bool(row["key_id"]) == is_known
        assert row["peer"].startswith("ipv4:127.0.0.1:")
        assert row["request_id"].startswith("req_")
    assert not [secret for secret in secrets if secret in repr(found)]


async def test_a_change_whose_row_cannot_be_written_fails(
    sandbox: SandboxBluesky, database: Path, database_url: str
) -> None:
    """Nothing of it is stored. A read does not notice."""
    settings = {**sandbox.settings(), "DATABASE_URL": database_url}
    async with running(database, settings) as service:
        meta = service.metadata()
        created = await service.profiles.CreateProfile(pb.CreateProfileRequest(), metadata=meta)
        await service.execute("ALTER TABLE audit RENAME TO away")
        person = await sandbox.person()
        refused = await service.refused(person.handle, person.app_password)
        assert refused.reason in {"SERVICE_UNAVAILABLE", "INTERNAL"}
        await refusal(service.profiles.CreateProfile(pb.CreateProfileRequest(), metadata=meta))
        request = pb.DeleteProfileRequest(profile_key=created.profile_key)
        await refusal(service.profiles.DeleteProfile(request, metadata=meta))
        read = pb.GetProfileRequest(profile_key=created.profile_key)
        await service.profiles.GetProfile(read, metadata=meta)
        await service.execute("ALTER TABLE away RENAME TO audit")
    assert rows(database_url, "SELECT COUNT(*) AS number FROM profiles") == [{"number": 1}]
    assert rows(database_url, "SELECT COUNT(*) AS number FROM connections") == [{"number": 0}]


def test_every_method_that_writes_is_audited() -> None:
    """By its scope: a new method cannot forget its row."""
    assert {name for name, scope in SCOPES.items() if scope not in AUDITED_SCOPES} == {
        *("GetProfile", "ListProfiles", "WatchConnections", "ListPlatforms")
    }


async def test_a_tenants_refusals_are_limited_and_counted(database_url: str) -> None:
    """Those of another tenant are recorded meanwhile; what was left out is counted at the end."""
    store = SqlStore(await open_engine(database_url, 2))
    for name in ("ten_a", "ten_b"):
        await store.tenants.create(Tenant(name, "test", NOW))
    trail = AuditTrail(store.audit, MovedClock(), 36500 * DAY, {"bluesky"})
    many = MAX_REFUSALS_AT_ONCE + 50
    for _ in range(many):
        trail.note_call(AuditedCall("DeleteProfile", "req", tenant_id="ten_a"), "PROFILE_NOT_FOUND")
    trail.note_call(AuditedCall("DeleteProfile", "req", tenant_id="ten_b"), "PROFILE_NOT_FOUND")
    await trail.stop()
    await store.close()
    counted = rows(
        database_url,
        "SELECT tenant_id, outcome, COUNT(*) AS number, SUM(left_out) AS left_out FROM audit"
        " GROUP BY tenant_id, outcome ORDER BY tenant_id, outcome",
    )
    assert [tuple(row.values()) for row in counted] == [
        ("ten_a", "PROFILE_NOT_FOUND", MAX_REFUSALS_AT_ONCE, 0),
        ("ten_a", "REFUSALS_LEFT_OUT", 1, 50),
        ("ten_b", "PROFILE_NOT_FOUND", 1, 0),
    ]


async def test_a_clock_put_back_loses_no_row(database_url: str) -> None:
    """An export follows the order of writing, and a page the time; each has every row once."""
    store = SqlStore(await open_engine(database_url, 2))
    await store.tenants.create(Tenant("ten_a", "test", NOW))
    times = [NOW, NOW + SECOND, NOW - DAY, NOW - DAY, NOW + 1]
    for number, at in enumerate(times):
        with audit.audited(AuditedCall("CreateProfile", f"req_{number}", tenant_id="ten_a")):
            await store.profiles.create("ten_a", Profile(f"prof_{number}", None, at))
    exported: list[int] = []
    after = 0
    while page := await store.audit.written_after(after, 2):
        exported += [row.at for row in page]
        after = page[-1].number
    assert exported == times
    listed: list[str] = []
    at, after = 0, 0
    while page := await store.audit.page("ten_a", at, after, 2**62, 2):
        listed += [row.request_id for row in page]
        at, after = page[-1].at, page[-1].number
    assert listed == ["req_2", "req_3", "req_0", "req_4", "req_1"]
    await store.close()


async def test_a_failed_change_leaves_no_row(database_url: str) -> None:
    """And a second transaction of one call adds none."""
    store = SqlStore(await open_engine(database_url, 2))
    await store.tenants.create(Tenant("ten_a", "test", NOW))
    call = AuditedCall("CreateProfile", "req", tenant_id="ten_a")
    with audit.audited(call):
        with pytest.raises(ProfileNotFound):
            await store.profiles.delete("ten_a", "prof_none", NOW)
        assert not call.is_recorded
        await store.profiles.create("ten_a", Profile("prof_a", None, NOW))
        assert call.is_recorded
        await store.profiles.create("ten_a", Profile("prof_b", None, NOW))
    assert audit.current() is None
    found = await store.audit.page("ten_a", 0, 0, 2**62, 10)
    assert [row.profile_key for row in found] == ["prof_a"]
    await store.close()


async def test_an_export_misses_no_row_of_a_slower_transaction(postgres_url: str) -> None:
    """Numbers are given before the commit: an export waits for writes under way."""
    store = SqlStore(await open_engine(postgres_url, 4))
    engine = store._engine
    inserted, go_on = asyncio.Event(), asyncio.Event()

    async def slow(transaction: Any) -> None:
        row = AuditedCall("slow", "req").row(NOW)
        await transaction.run(sql.ADD_ROW, *row[:-1])
        inserted.set()
        await go_on.wait()

    writing = asyncio.create_task(engine.write(slow))
    await inserted.wait()
    await store.audit.add([AuditedCall("fast", "req").row(NOW)])
    reading = asyncio.create_task(store.audit.written_after(0, 10))
    waiting = "SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND NOT granted"
    async with asyncio.timeout(10):
        while not await engine.read(waiting):
            assert not reading.done()
            await asyncio.sleep(0.01)
    go_on.set()
    await writing
    assert [row.method for row in await reading] == ["slow", "fast"]
    await store.close()


async def test_an_export_that_cannot_have_the_lock_fails(postgres_url: str) -> None:
    """Writes behind it do not wait for long."""
    store = SqlStore(await open_engine(postgres_url, 4))
    locked, go_on = asyncio.Event(), asyncio.Event()

    async def hold(transaction: Any) -> None:
        await transaction.run("LOCK TABLE audit IN ROW EXCLUSIVE MODE")
        locked.set()
        await go_on.wait()

    holding = asyncio.create_task(store._engine.write(hold))
    await locked.wait()
    with pytest.raises(ServiceUnavailable):
        await store.audit.written_after(0, 10)
    go_on.set()
    await holding
    await store.close()


async def test_a_node_of_the_version_before_still_adds_and_prunes_leases(postgres_url: str) -> None:
    """Its statements meet a view: what it lends during a replacement of nodes is in the trail."""
    store = SqlStore(await open_engine(postgres_url, 4))
    await store.tenants.create(Tenant("ten_a", "test", NOW))

    async def add(transaction: Any) -> None:
        values = "CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT)"
        await transaction.run(
            "INSERT INTO leases (tenant_id, at, key_id, profile_key, platform, account_id,"
            " expires_at) SELECT column1, column2, column3, 'prof_a', 'bluesky', 'did:plc:a',"
            f" column4 FROM (VALUES ({values})) lent"
            " WHERE EXISTS (SELECT 1 FROM tenants WHERE tenant_id = column1)",
            *("ten_a", NOW, "key", 253_402_300_799 * SECOND),
        )

    await store._engine.write(add)
    [row] = await store.audit.page("ten_a", 0, 0, 2**62, 10)
    assert (row.method, row.outcome, row.lent, row.expires_at) == (
        *("LeaseSession", "OK", "CREDENTIAL", 0),
    )

    async def prune(transaction: Any) -> int:
        statement = (
            "DELETE FROM leases WHERE at < (SELECT MAX(at) + 1 FROM ("
            " SELECT at FROM leases WHERE at < $1 ORDER BY at LIMIT $2) oldest) RETURNING 1"
        )
        return len(await transaction.run(statement, NOW + 1, 10))

    assert await store._engine.write(prune) == 1
    await store.close()
