"""Tenants that own more than one transaction can remove in its time, on both engines."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from service.crypto.keyring import create_keyring, new_keys
from service.domain.audit import AuditRow
from service.domain.model import DAY, DEFAULT_SCOPES, SECOND, ApiKey, Tenant
from service.settings import Settings
from service.storage import tenants
from service.storage.store import SqlStore
from tests.support.auditing import lease_row, unnumbered
from tests.support.engines import on_both, opened, rows
from tests.support.leasing import ROOT, environ_of

engine = on_both

LATEST = 2**62
NOW = 1_800_000_000 * SECOND
PART = 20
MANY = 130
TABLES = (
    "api_keys",
    "profiles",
    "connections",
    "credentials",
    "sessions",
    "idempotency_records",
    "events",
    "audit",
    "tenants",
)


@pytest.fixture
async def store(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqlStore]:
    monkeypatch.setattr(tenants, "BATCH", PART)
    store = SqlStore(await opened(database_url))
    yield store
    await store.close()


async def plant(store: SqlStore, database_url: str, tenant_id: str) -> None:
    """A tenant that has many of all there is, but for credentials."""
    await store.tenants.create(Tenant(tenant_id, "large", NOW))
    for number in range(PART + 1):
        key = ApiKey(f"{tenant_id}{number}", tenant_id, "", DEFAULT_SCOPES, "api-1", b"v", NOW)
        assert await store.api_keys.add(key)
    await store.audit.add([_lent(tenant_id, NOW + number) for number in range(MANY)])
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 130)"
    owner, profile = f"'{tenant_id}'", f"'prof_{tenant_id}' || i"
    sealed = "CAST('x' AS BLOB)" if database_url.startswith("sqlite:") else "CAST('x' AS BYTEA)"
    for into, values in (
        ("profiles (profile_key, tenant_id, created_at)", f"{profile}, {owner}, 7"),
        (
            "connections (profile_key, tenant_id, platform, account_id, username, display_name,"
            " origin, generation, state, connected_at, last_verified_at)",
            f"{profile}, {owner}, 'bluesky', 'did:plc:a', 'a', 'a', 'https://a.test', 1, 'HEALTHY',"
            " 7, 7",
        ),
        (
            "sessions (profile_key, tenant_id, platform, generation, ring_key_id, envelope,"
            " expires_at)",
            f"{profile}, {owner}, 'bluesky', 1, 'seal-1', {sealed}, 7",
        ),
        ("events (profile_key, tenant_id, number, kind)", f"{profile}, {owner}, i, 'CONNECTED'"),
        (
            "idempotency_records (idempotency_key, tenant_id, method, holder, ring_key_id, digest,"
            " expires_at)",
            f"CAST(i AS TEXT), {owner}, 'CreateProfile', 'holder', 'token-1', {sealed}, 7",
        ),
    ):
        rows(database_url, f"INSERT INTO {into} {numbers} SELECT {values} FROM n")


def _lent(tenant_id: str, at: int) -> AuditRow:
    return lease_row(at, tenant_id, "key", "prof_a", "bluesky", "did:plc:a", at + DAY)


def counted(database_url: str, tenant_id: str) -> dict[str, int]:
    """How many rows of each table are the tenant's."""
    return {
        table: rows(
            database_url, f"SELECT COUNT(*) AS found FROM {table} WHERE tenant_id = ?", tenant_id
        )[0]["found"]
        for table in TABLES
    }


async def test_a_tenant_is_deleted_in_parts(store: SqlStore, database_url: str) -> None:
    """Its keys first and itself last, no more rows of a table at once than are meant to; each
    session is returned once; nothing of another tenant's is touched."""
    await plant(store, database_url, "ten_a")
    await plant(store, database_url, "ten_b")
    before = counted(database_url, "ten_b")
    assert before["sessions"] == before["audit"] == MANY
    left, returned = [counted(database_url, "ten_a")], []
    while (sessions := await store.tenants.delete_batch("ten_a", NOW)) is not None:
        returned += [stored.address.profile_key for stored in sessions]
        left.append(counted(database_url, "ten_a"))
    for was, now in pairwise(left):
        gone = [was[table] - now[table] for table in TABLES]
        assert 0 < max(gone) <= PART
        assert now["api_keys"] == 0 or now["profiles"] == MANY
        assert now["tenants"] == 1 or set(now.values()) == {0}
    assert left[-1]["tenants"] == 0
    assert sorted(returned) == sorted({f"prof_ten_a{number}" for number in range(1, MANY + 1)})
    assert counted(database_url, "ten_b") == before


@pytest.mark.process
async def test_a_deletion_that_was_killed_can_be_done_again(
    store: SqlStore, database_url: str, tmp_path: Path
) -> None:
    """It has left a tenant without keys, which the command takes up."""
    await plant(store, database_url, "ten_a")
    await store.close()
    keyring = tmp_path / "keyring.json"
    create_keyring(keyring, new_keys("test"))
    settings = Settings.read(
        {"POSTCORE_DATABASE_URL": database_url, "POSTCORE_KEYRING_FILE": str(keyring)}
    )

    async def command(*module: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module, "tenants", "delete", "ten_a"),
            cwd=ROOT,
            env={**os.environ, **environ_of(settings)},
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            return await process.wait()

    assert (
        await command("tests.support.failpoints", "after", "store.delete_part_of_tenant", "--") < 0
    )
    left = counted(database_url, "ten_a")
    assert (left["api_keys"], left["profiles"], left["tenants"]) == (0, MANY, 1)
    assert await command("service") == 0
    left = counted(database_url, "ten_a")
    assert left.pop("audit") == 2  # what the operator did
    assert set(left.values()) == {0}
    assert await command("service") == 1


async def test_a_lease_of_a_tenant_that_is_gone_is_not_written(
    store: SqlStore, database_url: str
) -> None:
    """What was noted in the moment before the tenant went does not outlive it; what is of others
    in the same breath is written."""
    for tenant_id in ("ten_a", "ten_b"):
        await store.tenants.create(Tenant(tenant_id, "test", NOW))
    while await store.tenants.delete_batch("ten_a", NOW) is not None:
        pass
    both = [_lent(tenant_id, NOW + at) for at in range(3) for tenant_id in ("ten_a", "ten_b")]
    await store.audit.add(both)
    assert rows(database_url, "SELECT DISTINCT tenant_id FROM audit WHERE lent <> ''") == [
        {"tenant_id": "ten_b"}
    ]
    assert unnumbered(await store.audit.page("ten_b", 0, 0, LATEST, 100)) == [
        one for one in both if one.tenant_id == "ten_b"
    ]
