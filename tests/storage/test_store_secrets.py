"""The contract of a store, as the rotation of keys needs it: every engine keeps it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.crypto.rewrap import FIRST
from service.domain.model import DAY, ApiKey, Scope, Tenant
from service.domain.records import Envelope, NewSession, Purpose, SecretRow
from service.storage.store import SqlStore
from tests.storage.test_store import ADDRESS, FINGERPRINT, NOW, RESERVATION, RESERVED_UNTIL, login
from tests.support.engines import on_both, opened, rows

engine = on_both
NEWER = Envelope("seal-2", b"newer")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlStore]:
    """Three connections of two tenants, all under one key."""
    store = SqlStore(await opened(database_url))
    for tenant_id in ("ten_a", "ten_b"):
        await store.tenants.create(Tenant(tenant_id, "test", NOW))
    for tenant_id, profile_key in (("ten_b", "prof_b"), ("ten_a", "prof_c"), ("ten_a", "prof_a")):
        await store.connections.save_login(login(tenant_id=tenant_id, profile_key=profile_key))
    yield store
    await store.close()


def places(found: list[SecretRow]) -> list[tuple[str, str]]:
    return [(one.address.tenant_id, one.address.profile_key) for one in found]


@pytest.mark.parametrize("purpose", [Purpose.CREDENTIAL, Purpose.SESSION])
async def test_what_another_key_seals_is_found_in_order(store: SqlStore, purpose: Purpose) -> None:
    """Of all tenants, a few at a time, each with the place that it opens in."""
    found = await store.secrets.sealed_otherwise(purpose, "seal-2", FIRST, 2)
    assert places(found) == [("ten_a", "prof_a"), ("ten_a", "prof_c")]
    assert found[0] == SecretRow(purpose, ADDRESS, Envelope("seal-1", purpose.value.encode()))
    rest = await store.secrets.sealed_otherwise(purpose, "seal-2", found[-1].address, 2)
    assert places(rest) == [("ten_b", "prof_b")]
    assert await store.secrets.sealed_otherwise(purpose, "seal-2", rest[-1].address, 2) == []
    assert await store.secrets.sealed_otherwise(purpose, "seal-1", FIRST, 2) == []


@pytest.mark.parametrize("purpose", [Purpose.CREDENTIAL, Purpose.SESSION])
async def test_only_unchanged_secrets_are_rewrapped(store: SqlStore, purpose: Purpose) -> None:
    """Another envelope, or another generation, stays; what was rewrapped is found no more."""
    first, second, third = await store.secrets.sealed_otherwise(purpose, "seal-2", FIRST, 9)
    overtaken = replace(second, sealed=Envelope("seal-1", b"was here before"))
    reconnected = replace(third, address=third.address._replace(generation=2))
    written = await store.secrets.replace_unchanged(
        [(one, NEWER) for one in (first, overtaken, reconnected)]
    )
    assert written == 1
    left = await store.secrets.sealed_otherwise(purpose, "seal-2", FIRST, 9)
    assert left == [second, third]
    stored = await store.connections.connection("ten_a", "prof_a", "bluesky")
    kept = stored.credential if purpose is Purpose.CREDENTIAL else stored.session
    assert kept == NEWER


@pytest.mark.parametrize("table", ["connections", "credentials", "sessions"])
async def test_a_secret_of_another_generation_is_not_read(
    store: SqlStore, database_url: str, table: str
) -> None:
    """It opens nowhere, whichever of the two rows was edited; the connection can be claimed all
    the same, and a session that takes the other's place is read again."""
    await asyncio.to_thread(rows, database_url, f"UPDATE {table} SET generation = 8")
    stored = await store.connections.connection("ten_a", "prof_a", "bluesky")
    read = [bool(sealed.envelope) for sealed in (stored.credential, stored.session)]
    assert read == [table == "sessions", table == "credentials"]
    for purpose, is_read in zip((Purpose.CREDENTIAL, Purpose.SESSION), read, strict=True):
        found = await store.secrets.sealed_otherwise(purpose, "seal-2", FIRST, 9)
        assert [bool(one.sealed.envelope) for one in found] == [is_read] * 3
    held = await store.connections.claim(stored.address, NOW, NOW + 1)
    assert held is not None
    assert await store.connections.save_session(held, NewSession(NEWER, NOW + DAY, NOW))
    assert (await store.connections.connection("ten_a", "prof_a", "bluesky")).session == NEWER


async def test_rows_are_counted_by_the_key_they_name(store: SqlStore) -> None:
    """Secrets, live API keys and idempotency keys that still count."""
    key = ApiKey("id", "ten_a", "n", frozenset({Scope.PROFILES_READ}), "apikey-1", b"\0" * 32, NOW)
    await store.api_keys.add(key)
    await store.api_keys.add(replace(key, key_id="revoked"))
    await store.api_keys.revoke("revoked", NOW)
    assert await store.idempotency.reserve(RESERVATION, FINGERPRINT, NOW, RESERVED_UNTIL) is None
    assert dict(await store.secrets.key_uses(NOW)) == {"seal-1": 6, "apikey-1": 1, "token-1": 1}
    assert dict(await store.secrets.key_uses(NOW + DAY)) == {"seal-1": 6, "apikey-1": 1}


async def test_a_fact_is_replaced_only_by_a_caller_that_read_it(store: SqlStore) -> None:
    """`replace` is a no-op unless the caller names the stored value."""
    await store.facts.put_once("canary", "old")
    assert not await store.facts.replace("canary", "other", "new")
    assert await store.facts.replace("canary", "old", "new")
    assert await store.facts.get("canary") == "new"
    assert not await store.facts.replace("none", "old", "new")
