"""The contract of a store: every engine keeps it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from service.domain.errors import ProfileAlreadyExists, ProfileNotFound
from service.domain.model import DAY, SECOND, ApiKey, Profile, Scope, Tenant
from service.domain.records import (
    EarlierRequest,
    Envelope,
    Fingerprint,
    LoginWrite,
    Reservation,
    SecretAddress,
)
from service.storage.engine import Transaction
from service.storage.store import SqlStore
from tests.support.engines import on_both, opened

engine = on_both

NOW = 1_800_000_000 * SECOND
RESERVED_UNTIL = NOW + 45 * SECOND
ADDRESS = SecretAddress("ten_a", "prof_a", "bluesky", "did:plc:a", "https://a.example", 1)
RESERVATION = Reservation("ten_a", "ConnectProfile", "key", "holder")
FINGERPRINT = Fingerprint("token-1", b"\x01" * 32)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore(await opened(database_url))
    await store.tenants.create(Tenant("ten_a", "A", NOW))
    await store.tenants.create(Tenant("ten_b", "B", NOW))
    yield store
    await store.close()


def login(**changes: object) -> LoginWrite:
    address = ADDRESS._replace(**{k: v for k, v in changes.items() if hasattr(ADDRESS, k)})  # type: ignore[arg-type]
    saved = LoginWrite(
        address,
        "a.example",
        Envelope("seal-1", b"credential"),
        Envelope("seal-1", b"session"),
        NOW,
        NOW + DAY,
        create_profile=True,
        reservation=None,
        at=NOW,
    )
    return replace(saved, **{k: v for k, v in changes.items() if not hasattr(ADDRESS, k)})  # type: ignore[arg-type]


async def test_keys_come_back_as_they_were_added(store: SqlStore) -> None:
    """They keep their scopes. A key of an unknown tenant is not added; `revoke` returns whether
    the key existed."""
    key = ApiKey("id", "ten_a", "n", frozenset({Scope.PROFILES_READ}), "apikey-1", b"\0" * 32, NOW)
    assert await store.api_keys.add(key)
    assert await store.api_keys.get("id") == key
    assert await store.api_keys.of_tenant("ten_a") == [key]
    assert await store.api_keys.of_tenant("ten_b") == []
    assert not await store.api_keys.add(replace(key, key_id="x", tenant_id="ten_none"))
    assert await store.api_keys.revoke("id", NOW + 1)
    assert await store.api_keys.revoke("id", NOW + 2)
    revoked = await store.api_keys.get("id")
    assert revoked is not None
    assert revoked.revoked_at == NOW + 1
    assert not await store.api_keys.revoke("none", NOW)


async def test_facts_stand_once_said(store: SqlStore) -> None:
    """The first word counts; of two at once, which may come in either order, one does."""
    assert await store.facts.get("mode") is None
    said = await asyncio.gather(
        store.facts.put_once("mode", "live"), store.facts.put_once("mode", "sandbox")
    )
    [fact] = set(said)
    assert await store.facts.get("mode") == fact
    assert await store.facts.put_once("mode", "other") == fact


async def test_a_login_is_saved_whole(store: SqlStore) -> None:
    """Profile, connection, credential and session; the next one returns the session replaced."""
    assert await store.connections.save_login(login()) is None
    assert await store.connections.connected_account("ten_a", "prof_a", "bluesky") == "did:plc:a"
    replaced = await store.connections.save_login(
        login(generation=2, create_profile=False, session=Envelope("seal-2", b"new"))
    )
    assert replaced is not None
    assert replaced.address == ADDRESS
    assert replaced.sealed == Envelope("seal-1", b"session")


async def test_a_login_for_a_profile_that_is_gone_leaves_nothing(store: SqlStore) -> None:
    """Deleted in the meantime, or another tenant's: ProfileNotFound."""
    with pytest.raises(ProfileNotFound):
        await store.connections.save_login(login(create_profile=False))
    await store.profiles.create("ten_b", Profile("prof_a", None, NOW))
    with pytest.raises(ProfileNotFound):
        await store.connections.save_login(login(create_profile=False))
    with pytest.raises(ProfileNotFound):
        await store.connections.save_login(login())
    with pytest.raises(ProfileNotFound):
        await store.connections.connected_account("ten_a", "prof_a", "bluesky")
    assert await store.connections.connected_account("ten_b", "prof_a", "bluesky") is None


async def test_another_account_is_refused_and_changes_nothing(store: SqlStore) -> None:
    """ProfileAlreadyExists in the transaction itself, where two calls meet."""
    await store.connections.save_login(login())
    with pytest.raises(ProfileAlreadyExists):
        await store.connections.save_login(login(account_id="did:plc:b", create_profile=False))
    assert await store.connections.connected_account("ten_a", "prof_a", "bluesky") == "did:plc:a"


async def test_of_two_accounts_at_once_one_wins(store: SqlStore) -> None:
    """Committed together or not, they are as if one came after the other."""
    await store.profiles.create("ten_a", Profile("prof_a", None, NOW))
    outcomes = await asyncio.gather(
        *(
            store.connections.save_login(login(account_id=f"did:plc:{name}", create_profile=False))
            for name in "abcd"
        ),
        return_exceptions=True,
    )
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, ProfileAlreadyExists) for outcome in outcomes) == 3


async def test_an_idempotency_key_is_held_then_answered(store: SqlStore) -> None:
    """Reserved, found under way, completed by the login it was reserved for, found answered."""
    assert await store.idempotency.reserve(RESERVATION, FINGERPRINT, NOW, RESERVED_UNTIL) is None
    other = replace(RESERVATION, holder="other")
    assert await store.idempotency.reserve(
        other, FINGERPRINT, NOW, RESERVED_UNTIL
    ) == EarlierRequest(FINGERPRINT, None)
    await store.connections.save_login(login(reservation=RESERVATION))
    reply = ("prof_a", "bluesky", "a.example")
    assert await store.idempotency.reserve(
        other, FINGERPRINT, NOW, RESERVED_UNTIL
    ) == EarlierRequest(FINGERPRINT, reply)
    await store.idempotency.release(RESERVATION)
    assert await store.idempotency.reserve(
        other, FINGERPRINT, NOW, RESERVED_UNTIL
    ) == EarlierRequest(FINGERPRINT, reply)


async def test_expired_keys_are_deleted_with_their_replies(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches, of every tenant, whether or not it makes another request; no other goes."""
    monkeypatch.setattr("service.storage.idempotency.BATCH", 2)
    of = [replace(RESERVATION, idempotency_key=f"key-{number}") for number in range(3)]
    for reservation in of:
        await store.idempotency.reserve(reservation, FINGERPRINT, NOW, RESERVED_UNTIL)
    kept = replace(RESERVATION, idempotency_key="kept")
    await store.idempotency.reserve(kept, FINGERPRINT, NOW, RESERVED_UNTIL + 1)
    assert not await store.idempotency.delete_expired(RESERVED_UNTIL - 1)
    assert await store.idempotency.delete_expired(RESERVED_UNTIL)
    assert not await store.idempotency.delete_expired(RESERVED_UNTIL)
    found = [await store.idempotency.earlier_request(one, NOW) for one in (*of, kept)]
    assert found == [None, None, None, EarlierRequest(FINGERPRINT, None)]


async def test_a_released_or_lapsed_key_is_free(store: SqlStore) -> None:
    """By its holder alone, or by time."""
    await store.idempotency.reserve(RESERVATION, FINGERPRINT, NOW, RESERVED_UNTIL)
    other = replace(RESERVATION, holder="other")
    await store.idempotency.release(other)
    assert await store.idempotency.reserve(other, FINGERPRINT, NOW, RESERVED_UNTIL) is not None
    await store.idempotency.release(RESERVATION)
    assert await store.idempotency.reserve(RESERVATION, FINGERPRINT, NOW, RESERVED_UNTIL) is None
    assert (
        await store.idempotency.reserve(other, FINGERPRINT, RESERVED_UNTIL, RESERVED_UNTIL + DAY)
        is None
    )


async def test_a_failed_transaction_undoes_itself_and_no_other(database_url: str) -> None:
    """Jobs committed together fail alone."""
    engine = await opened(database_url)

    def job(name: str, fails: bool) -> Coroutine[Any, Any, str]:
        async def work(transaction: Transaction) -> str:
            await transaction.run("INSERT INTO facts VALUES ($1, $2)", name, name)
            if fails:
                raise ProfileNotFound
            return name

        return engine.write(work)

    names = [f"n{number}" for number in range(20)]
    outcomes = await asyncio.gather(
        *(job(name, number % 3 == 0) for number, name in enumerate(names)),
        return_exceptions=True,
    )
    kept = {name for number, name in enumerate(names) if number % 3}
    assert {outcome for outcome in outcomes if isinstance(outcome, str)} == kept
    assert {row["name"] for row in await engine.read("SELECT name FROM facts")} == kept
    await engine.close()


async def test_a_caller_that_is_gone_leaves_the_writer_working(store: SqlStore) -> None:
    """Cancelled while it waits or while it writes."""
    tasks = [asyncio.create_task(store.facts.put_once(f"n{number}", "v")) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[1::2] == ["v"] * 10
    assert await store.facts.put_once("after", "v") == "v"
