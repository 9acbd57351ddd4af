"""Writes that share a round trip, and jobs that take turns."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.domain.errors import ServiceUnavailable
from service.domain.model import Tenant
from service.storage import postgres
from service.storage.engine import Row, Statement, Transaction
from service.storage.postgres import PostgresEngine
from service.storage.store import SqlStore
from tests.storage.test_store import NOW, login
from tests.support.engines import POOL_SIZE, on_both, opened

engine = on_both

TENANT = """
INSERT INTO tenants (tenant_id, name, created_at) VALUES ($1, $2, $3) RETURNING name, tenant_id
"""
PROFILE = "INSERT INTO profiles (tenant_id, profile_key, created_at) VALUES ($1, $2, $3)"
FACT = "INSERT INTO facts (name, value) VALUES ($2, $1)"
TOGETHER: tuple[Statement, ...] = (
    (TENANT, "ten_c", "C", NOW),
    (PROFILE, "ten_c", "prof_c", NOW),
    (FACT, "value", "name"),
)


async def test_writes_together_are_those_one_by_one(database_url: str) -> None:
    """Each has its own parameters, a row may refer to one of the same round trip, and the rows of
    the first come back."""
    engine = await opened(database_url)
    store = SqlStore(engine)

    async def job(transaction: Transaction) -> Row:
        [row] = await transaction.run_together(*TOGETHER)
        return row

    row = await engine.write(job)
    assert (row["name"], row["tenant_id"]) == ("C", "ten_c")
    assert (await store.profiles.get("ten_c", "prof_c")).created_at == NOW
    assert await store.facts.get("name") == "value"
    await store.close()


async def test_writes_together_fail_together(database_url: str) -> None:
    """A row that refers to none undoes the others."""
    engine = await opened(database_url)
    store = SqlStore(engine)

    async def job(transaction: Transaction) -> None:
        tenant, (text, *_), fact = TOGETHER
        await transaction.run_together(tenant, fact, (text, "ten_none", "prof_c", NOW))

    with pytest.raises(ServiceUnavailable):
        await engine.write(job)
    assert await store.facts.get("name") is None
    assert await store.tenants.all() == []
    await store.close()


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    engine = await PostgresEngine.open(postgres_url, POOL_SIZE)
    yield engine
    await engine.close()


async def test_jobs_of_one_turn_run_one_after_the_other(pool: PostgresEngine) -> None:
    running: list[int] = []

    async def job(transaction: Transaction) -> None:
        running.append(1)
        await transaction.run("SELECT 1")
        assert running == [1]
        running.pop()

    await asyncio.gather(*(pool.write(job, turn="ten_a") for _ in range(20)))


async def test_jobs_of_no_turn_run_at_once(pool: PostgresEngine) -> None:
    """Each waits for the other."""
    both = asyncio.Barrier(2)

    async def job(_: Transaction) -> None:
        await both.wait()

    async with asyncio.timeout(60):
        await asyncio.gather(pool.write(job), pool.write(job))


async def test_jobs_that_wait_for_their_turn_hold_up_no_others(pool: PostgresEngine) -> None:
    """However many they are."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def first(_: Transaction) -> None:
        begun.set()
        await go_on.wait()

    async def other(_: Transaction) -> None:
        pass

    held = [asyncio.create_task(pool.write(first, turn="ten_a")) for _ in range(2 * POOL_SIZE)]
    await begun.wait()
    async with asyncio.timeout(60):
        await pool.write(other, turn="ten_b")
        await pool.write(other)
    go_on.set()
    await asyncio.gather(*held)


async def test_a_first_connect_takes_four_round_trips_and_reads_nothing(
    pool: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside BEGIN and COMMIT. What it reads could conflict with other connects."""
    store = SqlStore(pool)
    await store.tenants.create(Tenant("ten_a", "A", NOW))
    sent: list[str] = []
    run = postgres._Statements.run

    async def noted(self: postgres._Statements, statement: str, *values: object) -> object:
        sent.append(statement.split(maxsplit=1)[0])
        return await run(self, statement, *values)

    monkeypatch.setattr(postgres._Statements, "run", noted)
    await store.connections.save_login(login())
    assert sent == ["INSERT", "WITH", "UPDATE", "WITH"]
