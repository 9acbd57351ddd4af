"""The monitor: one process checks each connection when it is due."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.app.build import Application, build
from service.connections import monitor
from service.connections.health import Checked, Health
from service.connections.monitor import MAX_CHECKS_AT_HOST, Monitor
from service.connections.timeouts import TIMEOUTS
from service.domain.clock import SystemClock
from service.domain.model import DAY, SECOND, Micros
from service.domain.records import Due, StoredConnection
from service.sandbox.faults import Hang
from service.settings import Settings
from tests.conformance.sandbox import Sandbox
from tests.support.bluesky import CREATE, SESSION, Person, SandboxBluesky
from tests.support.running import MovedClock, Running, running

REFRESH = f"{SESSION}refreshSession"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "MAX_REST_SECONDS", 0.02)


@pytest.fixture
async def service(sandbox: SandboxBluesky, database: Path) -> AsyncIterator[Running]:
    async with running(database, {**sandbox.settings(), "CHECKS_PER_SECOND": "500"}) as started:
        yield started


async def connect(service: Running, sandbox: SandboxBluesky, count: int) -> list[Person]:
    people = [await sandbox.person() for _ in range(count)]
    turns = asyncio.Semaphore(10)  # a tenant's limit at one server

    async def connect_one(person: Person) -> None:
        async with turns:
            await service.connect(person.handle, person.app_password)

    await asyncio.gather(*map(connect_one, people))
    return people


async def make_due(service: Running) -> None:
    await service.execute("UPDATE connections SET next_check_at = 0")


async def until_checked(service: Running, count: int) -> None:
    """Wait until *count* connections have been checked."""
    async with asyncio.timeout(30):
        checked = "SELECT 1 FROM connections WHERE checked_at IS NOT NULL"
        while len(service.rows(checked)) < count:
            await asyncio.sleep(0.01)


async def test_healthy_checks_cost_no_login(service: Running, sandbox: SandboxBluesky) -> None:
    """Each connection costs one refresh, and its next check is due about six hours later."""
    await connect(service, sandbox, 20)
    before = await sandbox.counts()
    await make_due(service)
    await until_checked(service, 20)
    after = await sandbox.counts()
    assert after[CREATE] == before[CREATE]
    assert after[REFRESH] == before.get(REFRESH, 0) + 20
    rows = service.rows("SELECT * FROM connections")
    assert {row["state"] for row in rows} == {"HEALTHY"}
    hours = [(row["next_check_at"] - row["checked_at"]) / SECOND / 3600 for row in rows]
    assert 5 < min(hours) < max(hours) < 7
    assert len(set(hours)) > 15


async def test_the_monitor_finds_a_break(service: Running, sandbox: SandboxBluesky) -> None:
    """It does so within one interval, without a call; other connections stay unchanged."""
    people = await connect(service, sandbox, 5)
    await sandbox.revoke(people[2])
    await make_due(service)
    await until_checked(service, 5)
    broken = service.rows("SELECT account_id FROM connections WHERE reconnect_reason IS NOT NULL")
    assert [row["account_id"] for row in broken] == [people[2].did]


async def test_a_connection_that_is_not_due_is_not_checked(
    service: Running, sandbox: SandboxBluesky
) -> None:
    await connect(service, sandbox, 3)
    await service.execute("UPDATE connections SET next_check_at = 0 WHERE rowid = 1")
    await until_checked(service, 1)
    await asyncio.sleep(0.2)
    assert len(service.rows("SELECT 1 FROM connections WHERE checked_at IS NOT NULL")) == 1


async def test_checks_at_one_host_are_limited(service: Running, sandbox: SandboxBluesky) -> None:
    """A hanging host delays a few checks only; calls succeed meanwhile, and checks continue
    afterwards."""
    await connect(service, sandbox, 12)
    hang = sandbox.server.breakages.add(Hang(), method="refreshSession")
    await make_due(service)
    async with asyncio.timeout(10):
        while hang.held_up < MAX_CHECKS_AT_HOST:
            await asyncio.sleep(0.01)
        while service.rows("SELECT 1 FROM connections WHERE next_check_at = 0"):
            await asyncio.sleep(0.01)
    assert hang.held_up == MAX_CHECKS_AT_HOST
    sandbox.server.breakages.clear()
    await until_checked(service, MAX_CHECKS_AT_HOST)
    await make_due(service)
    await until_checked(service, 12)


class Noting(Health):
    """A health service that records the requested checks and makes none."""

    def __init__(self, built: Application) -> None:
        self.asked: Counter[str] = Counter()
        self._built = built

    async def check(self, stored: StoredConnection) -> Checked:
        self.asked[stored.address.profile_key] += 1
        address = stored.address
        await self._built.store.checks.put_off(
            # as a verdict does
            Due(address.tenant_id, address.profile_key, address.platform, address.origin),
            SystemClock().now() + 3600 * SECOND,
        )
        return Checked(stored.connection)


def settings(service: Running) -> Settings:
    return service.settings.model_copy(update={"checks_per_second": 1000.0})


async def test_two_monitors_check_nothing_twice(service: Running, sandbox: SandboxBluesky) -> None:
    """Of several processes on one store, one checks each connection."""
    await connect(service, sandbox, 30)
    async with build(settings(service)) as one, build(settings(service)) as other:
        notings = [Noting(one), Noting(other)]
        monitors = [
            Monitor(
                built.store.checks,
                built.store.connections,
                noting,
                SystemClock(),
                1000,
                TIMEOUTS,
                built.metrics,
            )
            for built, noting in zip((one, other), notings, strict=True)
        ]
        picked = [
            await built.store.checks.pick_due(SystemClock().now(), 0, 1, "")
            for built in (one, other)
        ]
        assert picked == [[], []]
        now = SystemClock().now()
        await service.execute("UPDATE connections SET next_check_at = ?", now + SECOND // 2)
        tasks = [asyncio.create_task(each.run()) for each in monitors]
        async with asyncio.timeout(20):
            while service.rows(
                "SELECT 1 FROM connections WHERE next_check_at < ?", now + 1800 * SECOND
            ):
                await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        asked = notings[0].asked + notings[1].asked
        # the service's own monitor took part
        checked = service.rows("SELECT profile_key FROM connections WHERE checked_at IS NOT NULL")
        asked.update(row["profile_key"] for row in checked)
        assert len(asked) == 30
        assert set(asked.values()) == {1}


async def test_picking_is_fair_and_runs_out(service: Running, sandbox: SandboxBluesky) -> None:
    """A tenant with many due connections does not delay others. A connection that was picked but
    not checked is due again."""
    await connect(service, sandbox, 10)
    crowd = service.tenant_id
    small = await service.new_tenant()
    service.api_key, _ = await service.new_key(tenant_id=small)
    await connect(service, sandbox, 1)
    async with build(settings(service)) as built:
        store = built.store
        at: Micros = SystemClock().now() + DAY
        far = at + 3600 * SECOND
        picked = await store.checks.pick_due(at, far + 5, 4, "")
        shares = Counter(due.tenant_id for due in picked)
        assert (shares[crowd] in (2, 3), shares[small]) == (True, 1)
        rest = await store.checks.pick_due(at, far, 100, picked[-1].tenant_id)
        assert [due.tenant_id for due in rest] == [crowd] * (10 - shares[crowd])
        assert await store.checks.pick_due(at, far, 100, "") == []
        assert await store.checks.next_due() == far
        assert len(await store.checks.pick_due(far + 4, far + 9, 100, "")) == len(rest)
        assert len(await store.checks.pick_due(far + 5, far + 9, 100, "")) == len(picked)


async def test_the_tenants_take_turns(service: Running, sandbox: SandboxBluesky) -> None:
    """Each pick starts after the tenant of the last one, in a circle."""
    tenants = sorted([service.tenant_id, *[await service.new_tenant() for _ in range(3)]])
    for tenant in tenants:
        service.api_key, _ = await service.new_key(tenant_id=tenant)
        await connect(service, sandbox, 2)
    async with build(settings(service)) as built:
        at: Micros = SystemClock().now() + DAY
        order: list[str] = []
        for _ in range(8):
            [due] = await built.store.checks.pick_due(
                at, at + 3600 * SECOND, 1, order[-1] if order else ""
            )
            order.append(due.tenant_id)
    assert order == tenants * 2


async def test_a_clock_that_was_years_ahead(sandbox: SandboxBluesky, database: Path) -> None:
    """After its correction, all connections are checked in time, and a password rejected meanwhile
    is tried again."""
    clock = MovedClock()
    settings = {**sandbox.settings(), "CHECKS_PER_SECOND": "500"}
    async with running(database, settings, clock) as service:
        good, refused = await connect(service, sandbox, 2)
        await sandbox.revoke(refused)
        clock.ahead = 3650 * DAY
        await until_checked(service, 2)
        await sandbox.revoke(good)
        sandbox.world.add_app_password(refused.did, "postcore", refused.app_password)
        clock.ahead = 0

        def reasons() -> dict[str, str | None]:
            found = service.rows("SELECT account_id, reconnect_reason FROM connections")
            return {row["account_id"]: row["reconnect_reason"] for row in found}

        assert reasons() == {good.did: None, refused.did: "APP_PASSWORD_REVOKED"}
        async with asyncio.timeout(30):
            while reasons() != {good.did: "APP_PASSWORD_REVOKED", refused.did: None}:
                await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_accounts_that_move_are_no_outage(database: Path) -> None:
    """Doubts about some accounts of a host do not delay its others."""
    async with Sandbox.open() as sandbox:
        settings = {**sandbox.settings(), "CHECKS_PER_SECOND": "500"}
        async with running(database, settings) as service:
            people = await connect(service, sandbox, monitor.MAX_FAILURES + 3)
            for person in people[: monitor.MAX_FAILURES + 1]:
                await sandbox.migrate(person)
            for _ in range(2):
                await service.execute("UPDATE connections SET checked_at = NULL, document_at = 0")
                await make_due(service)
                await until_checked(service, len(people))
            states = Counter(row["state"] for row in service.rows("SELECT state FROM connections"))
            assert states == {"UNVERIFIED": monitor.MAX_FAILURES + 1, "HEALTHY": 2}
