"""The concurrency limit: hanging servers of one tenant's accounts do not delay other tenants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.connections import concurrency
from service.connections.concurrency import ConcurrencyLimit
from service.domain.model import SECOND
from service.platforms.egress import pool
from service.runtime import tasks
from service.runtime.tasks import OwnedTasks
from service.sandbox.breakages import Breakage
from service.sandbox.faults import Hang
from service.sandbox.server import SandboxServer
from service.sandbox.world import World
from service.settings import Settings
from tests.platforms.raw import DEADLINE_SECONDS
from tests.support.bluesky import Person, SandboxBluesky
from tests.support.running import PATIENT, MovedClock, Running, refusal_of, running

AT_ONCE = 2
HOUR = 3600 * SECOND


@pytest.fixture
async def sandbox(clock: MovedClock) -> AsyncIterator[SandboxBluesky]:
    """A sandbox that uses the service's clock."""
    server = SandboxServer(World(now=lambda: clock.now() / SECOND))
    await server.start()
    yield SandboxBluesky(server)
    await server.stop()


@pytest.fixture
async def service(
    sandbox: SandboxBluesky, database: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """Egress has slots for one tenant's connects, its renewals, and one more call."""
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 2 * AT_ONCE + 1)
    # these tests are about the whole limit: all accounts here live at one server
    monkeypatch.setattr(concurrency, "MIN_SERVERS", 1)
    settings = {**sandbox.settings(), "AT_ONCE_PER_TENANT": f"{AT_ONCE}", "CHECK_HOURS": "24"}
    async with running(database, settings, clock, PATIENT) as started:
        yield started


async def hanging(
    service: Running, sandbox: SandboxBluesky, method: str, count: int = AT_ONCE
) -> tuple[list[asyncio.Task[Any]], Breakage]:
    """Start *count* connects that hang at *method*."""
    people = [await sandbox.person() for _ in range(count)]
    hang = sandbox.server.breakages.add(Hang(), method=method)
    calls = [
        asyncio.ensure_future(
            service.connect(
                person.handle, person.app_password, idempotency_key=person.handle, timeout=60
            )
        )
        for person in people
    ]
    await until(lambda: hang.held_up == count)
    return calls, hang


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(calls: list[asyncio.Task[Any]]) -> None:
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def stranger(service: Running) -> str:
    """Create another tenant and return its key."""
    return (await service.new_key(tenant_id=await service.new_tenant()))[0]


async def refused_at_once(service: Running, person: Person) -> None:
    refusal = await service.refused(person.handle, person.app_password)
    assert (refusal.code, refusal.reason, refusal.retry_after) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "RATE_LIMIT_EXCEEDED",
        1,
    )


async def test_hanging_connects_use_up_their_own_tenants_limit(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """At the limit a call is rejected at once without a look-up; another tenant can still
    connect."""
    calls, hang = await hanging(service, sandbox, "resolveHandle")
    person, key = await sandbox.person(), await stranger(service)
    before = await sandbox.counts()
    for _ in range(5):
        await refused_at_once(service, person)
    assert await sandbox.counts() == before
    hang.left = 0  # further calls do not hang
    await service.connect(person.handle, person.app_password, api_key=key)
    hang.mend()
    await asyncio.gather(*calls)
    await service.connect(person.handle, person.app_password)


async def test_a_cancelled_connect_frees_its_slot(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """Its idempotency key is released too."""
    calls, hang = await hanging(service, sandbox, "resolveHandle")
    person = await sandbox.person()
    await refused_at_once(service, person)
    await ended(calls)
    await until(lambda: hang.held_up == 0)
    sandbox.server.breakages.clear()
    await service.connect(person.handle, person.app_password)
    assert len(service.rows("SELECT * FROM idempotency_records")) == 0


async def test_a_login_whose_caller_left_keeps_its_slot(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """Cancelled calls free no slots for further logins while theirs are in progress."""
    calls, hang = await hanging(service, sandbox, "createSession")
    await ended(calls)
    person = await sandbox.person()
    await refused_at_once(service, person)
    assert hang.held_up == AT_ONCE
    sandbox.server.breakages.clear()
    await until(lambda: len(service.rows("SELECT * FROM connections")) == AT_ONCE)
    await service.connect(person.handle, person.app_password)


async def test_hanging_renewals_have_a_limit_of_their_own(
    service: Running, sandbox: SandboxBluesky, clock: MovedClock
) -> None:
    """At the limit a lease or a check is rejected at once, and succeeds once a slot is free: the
    rejection starts no backoff. The tenant can connect meanwhile."""
    people = [await sandbox.person() for _ in range(AT_ONCE + 2)]
    keys = [
        (await service.connect(person.handle, person.app_password)).profile_key
        for person in people[:-1]
    ]
    clock.ahead += 3 * HOUR
    hang = sandbox.server.breakages.add(Hang(), method="refreshSession")
    leases = [asyncio.ensure_future(service.lease(key, timeout=60)) for key in keys[:AT_ONCE]]
    await until(lambda: hang.held_up == AT_ONCE)
    refusal = await service.lease_refused(keys[-1])
    assert (refusal.reason, refusal.retry_after) == ("RATE_LIMIT_EXCEEDED", 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.verify(keys[-1])
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await service.connect(people[-1].handle, people[-1].app_password)
    hang.mend()
    await asyncio.gather(*leases)
    await service.lease(keys[-1])


def test_a_limit_keeps_no_entry_of_finished_work() -> None:
    """A tenant without work in progress has no entry."""
    shares = ConcurrencyLimit(1)
    with pytest.raises(KeyError), shares.slot("a"), shares.slot("b"):
        raise KeyError
    with shares.slot("a"):
        pass
    assert not shares._in_use


async def test_background_work_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work over the limit is queued; a drain cancels the queued work too."""
    monkeypatch.setattr(tasks, "MAX_SPAWNED_AT_ONCE", AT_ONCE)
    owned, go_on, begun = OwnedTasks(), asyncio.Event(), 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        await go_on.wait()

    for _ in range(3 * AT_ONCE):
        owned.spawn(work())
    await until(lambda: begun == AT_ONCE)
    await asyncio.sleep(0)
    assert begun == AT_ONCE
    go_on.set()
    await until(lambda: begun == 3 * AT_ONCE)
    go_on.clear()
    for _ in range(2 * AT_ONCE):
        owned.spawn(work())
    assert await owned.drain(0.01) == 2 * AT_ONCE


async def test_a_drain_waits_for_work_that_other_work_started() -> None:
    """For example, ending a session at its server after a call in progress."""
    owned, done = OwnedTasks(), False

    async def last() -> None:
        nonlocal done
        for _ in range(9):
            await asyncio.sleep(0)
        done = True

    async def first() -> None:
        await asyncio.sleep(0)
        owned.spawn(last())

    owned.spawn(first())
    assert await owned.drain(5) == 0
    assert done


async def test_the_limit_at_one_server_is_a_third(
    sandbox: SandboxBluesky, database: Path, clock: MovedClock
) -> None:
    """Five tenants at their limits at a hanging server leave slots for a sixth: together they use
    fewer connections than egress allows to one host."""
    tenants, at_once, part = 5, 9, 3
    # connects, and the same number of renewals and checks
    taken = 2 * tenants * (Settings.read({}).at_once_per_tenant // concurrency.MIN_SERVERS)
    assert taken < pool.MAX_CONNECTIONS_PER_ORIGIN
    settings = {**sandbox.settings(), "AT_ONCE_PER_TENANT": f"{at_once}"}
    async with running(database, settings, clock, PATIENT) as service:
        people = [await sandbox.person() for _ in range(at_once)]
        hang = sandbox.server.breakages.add(Hang(), method="createSession")
        calls = [
            asyncio.ensure_future(service.connect(each.handle, each.app_password, timeout=60))
            for each in people
        ]
        # as many as the limit allows hang; the others are rejected without a debit
        await until(lambda: sum(call.done() for call in calls) == at_once - part)
        await until(lambda: hang.held_up == part)
        refused = [call.exception() for call in calls if call.done()]
        assert {refusal_of(each).reason for each in refused} == {"RATE_LIMIT_EXCEEDED"}  # type: ignore[arg-type]
        debits = service.rows("SELECT * FROM login_debits")
        assert len(debits) == part
        sandbox.server.breakages.clear()
        await ended(calls)
