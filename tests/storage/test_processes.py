"""The store on PostgreSQL, where several processes write at once."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from service.connections.login_budget import LoginBudget
from service.domain.errors import (
    PlatformNotConnected,
    ProfileAlreadyExists,
    ProfileNotFound,
    RateLimitExceeded,
)
from service.domain.model import Profile, Tenant
from service.domain.records import Envelope, Fingerprint, LoginPurpose, SessionEnvelope
from service.platforms.bluesky.card import CARD
from service.storage.postgres import PostgresEngine
from service.storage.store import SqlStore
from tests.connections.test_login_budget import ALICE, BUDGETS, Clock
from tests.storage.test_store import FINGERPRINT, NOW, RESERVATION, RESERVED_UNTIL, login
from tests.support.engines import POOL_SIZE, rows

PLACE = ("ten_a", "prof_a", "bluesky")


@pytest.fixture
async def stores(postgres_url: str) -> AsyncIterator[list[SqlStore]]:
    """Two stores on one database, as two processes have them."""
    stores = [SqlStore(await PostgresEngine.open(postgres_url, POOL_SIZE)) for _ in range(2)]
    await stores[0].tenants.create(Tenant("ten_a", "A", NOW))
    yield stores
    for store in stores:
        await store.close()


async def test_budgets_hold_across_processes(stores: list[SqlStore]) -> None:
    """Of a hundred strangers who connect one account at once, by two processes, seven may."""
    limits = [LoginBudget(store.login_budget, Clock(), BUDGETS) for store in stores]

    async def spend(number: int) -> bool:
        try:
            await limits[number % 2].spend(str(number), CARD, ALICE, LoginPurpose.CONNECT)
        except RateLimitExceeded:
            return False
        return True

    spent = await asyncio.gather(*(spend(number) for number in range(100)))
    assert spent.count(True) == 7


async def test_an_idempotency_key_is_taken_once_across_processes(stores: list[SqlStore]) -> None:
    """Of fifty at once one may go ahead; the others hear of it."""
    found = await asyncio.gather(
        *(
            stores[number % 2].idempotency.reserve(RESERVATION, FINGERPRINT, NOW, RESERVED_UNTIL)
            for number in range(50)
        )
    )
    assert found.count(None) == 1
    assert all(each.fingerprint == FINGERPRINT for each in found if each)
    other = Fingerprint("token-1", b"\x02" * 32)
    earlier = await stores[1].idempotency.reserve(RESERVATION, other, NOW, RESERVED_UNTIL)
    assert earlier is not None
    assert earlier.fingerprint == FINGERPRINT


async def test_facts_are_said_once_across_processes(stores: list[SqlStore]) -> None:
    """The first word counts."""
    said = await asyncio.gather(
        *(stores[number % 2].facts.put_once("mode", str(number)) for number in range(20))
    )
    assert len(set(said)) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_races_end_as_if_one_came_after_the_other(
    stores: list[SqlStore], postgres_url: str, seed: int
) -> None:
    """Connects, also of another account, disconnects and deletions of one profile by two
    processes: the events form one history, and every session is either stored or handed back once
    to be ended."""
    chance = random.Random(seed)
    saved: list[bytes] = []
    returned: list[bytes] = []
    changes = 0

    def note(session: SessionEnvelope | None) -> None:
        if session is not None:
            returned.append(session.sealed.envelope)

    async def create(store: SqlStore, _: int) -> None:
        await store.profiles.create("ten_a", Profile("prof_a", None, NOW))

    async def connect(store: SqlStore, number: int) -> None:
        nonlocal changes
        envelope = str(number).encode()
        account = f"did:plc:{chance.choice('aab')}"
        replaced = await store.connections.save_login(
            login(
                account_id=account,
                generation=number,
                session=Envelope("seal-1", envelope),
                create_profile=False,
            )
        )
        changes += 1
        saved.append(envelope)
        note(replaced)

    async def disconnect(store: SqlStore, _: int) -> None:
        nonlocal changes
        note(await store.connections.disconnect(*PLACE, NOW))
        changes += 1

    async def delete(store: SqlStore, _: int) -> None:
        nonlocal changes
        for session in await store.profiles.delete("ten_a", "prof_a", NOW):
            note(session)
            changes += 1

    async def one(number: int) -> None:
        work = chance.choice([create, create, connect, connect, connect, disconnect, delete])
        with suppress(ProfileNotFound, ProfileAlreadyExists, PlatformNotConnected):
            await work(stores[number % 2], number)

    await create(stores[0], 0)
    await asyncio.gather(*(one(number) for number in range(60)))

    events = rows(postgres_url, "SELECT * FROM events ORDER BY number")
    assert [event["number"] for event in events] == list(range(1, changes + 1))
    connected = False
    for event in events:
        assert event["kind"] in ({"RECONNECTED", "DISCONNECTED"} if connected else {"CONNECTED"})
        connected = event["kind"] != "DISCONNECTED"
    stored = [bytes(row["envelope"]) for row in rows(postgres_url, "SELECT * FROM sessions")]
    assert len(stored) == connected
    assert sorted(returned + stored) == sorted(saved)
    assert changes


async def test_no_cursor_passes_an_event_that_is_not_committed(stores: list[SqlStore]) -> None:
    """A reader that resumes at the last number it saw misses no event while two processes write."""
    seen: list[int] = []
    count = 100

    async def read_on() -> None:
        while len(seen) < count:
            found = await stores[0]._engine.read(
                "SELECT number FROM events WHERE tenant_id = $1 AND number > $2 ORDER BY number",
                "ten_a",
                seen[-1] if seen else 0,
            )
            seen.extend(row["number"] for row in found)

    await asyncio.gather(
        read_on(),
        *(
            stores[number % 2].connections.save_login(
                login(profile_key=f"prof_{number}", generation=number)
            )
            for number in range(count)
        ),
    )
    assert seen == list(range(1, count + 1))
