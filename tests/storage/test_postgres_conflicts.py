"""Conflicts on PostgreSQL: which are retried, and how often."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from service.domain.errors import (
    ServiceUnavailable,
)
from service.domain.model import Profile, Tenant
from service.storage import postgres as engines
from service.storage.engine import Transaction
from service.storage.postgres import PostgresEngine
from service.storage.store import SqlStore
from tests.storage.test_store import NOW
from tests.support.engines import POOL_SIZE, rows

PLACE = ("ten_a", "prof_a", "bluesky")


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    engine = await PostgresEngine.open(postgres_url, POOL_SIZE)
    yield engine
    await engine.close()


async def test_a_job_that_always_conflicts_gives_up(
    engine: PostgresEngine, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After MAX_ATTEMPTS it raises SERVICE_UNAVAILABLE and writes nothing."""
    monkeypatch.setattr(engines, "MAX_ATTEMPTS", 3)
    store = SqlStore(engine)
    await store.facts.put_once("a", "0")
    attempts = 0

    async def job(transaction: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        await transaction.run("SELECT value FROM facts WHERE name = $1", "a")
        rows(postgres_url, "UPDATE facts SET value = ? WHERE name = 'a'", str(attempts))
        await transaction.run("UPDATE facts SET value = $1 WHERE name = 'a'", "ours")

    with pytest.raises(ServiceUnavailable) as caught:
        await engine.write(job)
    assert (caught.value.why, attempts) == ("too_many_conflicts", 4)
    assert await store.facts.get("a") == "4"


async def test_a_fault_of_ours_is_not_taken_for_an_outage(engine: PostgresEngine) -> None:
    """A statement or a value that can never work is no SERVICE_UNAVAILABLE."""
    for statement, parameters in (
        ("SELECT nothing FROM nowhere", ()),
        ("SELECT value FROM facts WHERE name = $1", (1,)),
    ):
        with pytest.raises((asyncpg.UndefinedTableError, asyncpg.DataError)):
            await engine.read(statement, *parameters)


CONFLICTS = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.UniqueViolationError,
    asyncpg.ForeignKeyViolationError,
    asyncpg.ExclusionViolationError,
)


@pytest.mark.parametrize("second", CONFLICTS)
@pytest.mark.parametrize("first", [asyncpg.SerializationError, asyncpg.UniqueViolationError])
async def test_a_conflict_in_any_attempt_is_repeated(
    engine: PostgresEngine, first: type[Exception], second: type[Exception]
) -> None:
    """A conflict of either kind is retried, in the first attempt and in later ones."""
    raised = [first("hunter2"), second("hunter2"), second("hunter2")]

    async def job(transaction: Transaction) -> str:
        await transaction.run("INSERT INTO facts VALUES ('a', 'a')")
        if raised:
            raise raised.pop(0)
        return "done"

    assert await engine.write(job) == "done"
    assert len(await engine.read("SELECT * FROM facts")) == 1


@pytest.mark.parametrize("conflict", CONFLICTS)
async def test_a_conflict_that_stays_is_service_unavailable(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch, conflict: type[Exception]
) -> None:
    """And never INTERNAL."""
    monkeypatch.setattr(engines, "MAX_ATTEMPTS", 10)
    monkeypatch.setattr(engines, "MAX_PAUSE_SECONDS", 0)

    async def job(_: Transaction) -> None:
        raise conflict("hunter2")

    with pytest.raises(ServiceUnavailable):
        await engine.write(job)


async def test_a_constraint_that_stays_violated_is_logged(engine: PostgresEngine) -> None:
    """Once, at level error, by its type: its text holds what is in the database."""
    attempts = 0

    async def twice(transaction: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        for _ in range(2):
            await transaction.run("INSERT INTO facts VALUES ('hunter2', 'hunter2')")

    with capture_logs() as lines, pytest.raises(ServiceUnavailable) as caught:
        await engine.write(twice)
    assert caught.value.why == "UniqueViolationError"
    assert lines == [
        {
            "event": "constraint violated",
            "exception": "UniqueViolationError",
            "log_level": "error",
        }
    ]
    assert attempts == 1 + engines.MAX_VIOLATIONS
    assert await engine.read("SELECT * FROM facts") == []


async def test_an_outcome_that_is_not_known_is_not_tried_again(engine: PostgresEngine) -> None:
    """Since it may have been written."""
    attempts = 0

    async def job(_: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        raise asyncpg.StatementCompletionUnknownError

    with pytest.raises(ServiceUnavailable):
        await engine.write(job)
    assert attempts == 1


@pytest.mark.parametrize("conflict", [*CONFLICTS[:5], asyncpg.InvalidSQLStatementNameError])
@pytest.mark.parametrize("count", [1, 2])
async def test_a_read_that_meets_a_conflict_is_repeated_once(
    engine: PostgresEngine,
    monkeypatch: pytest.MonkeyPatch,
    conflict: type[Exception],
    count: int,
) -> None:
    """A plan that a migration has made invalid, or a standby's conflict; then it is
    SERVICE_UNAVAILABLE."""
    raised = [conflict("hunter2") for _ in range(count)]
    fetch = asyncpg.Connection.fetch

    async def failing(self: asyncpg.Connection, *arguments: Any) -> Any:
        if raised:
            raise raised.pop()
        return await fetch(self, *arguments)

    monkeypatch.setattr(asyncpg.Connection, "fetch", failing)
    if count == 1:
        assert await engine.read("SELECT * FROM facts") == []
    else:
        with pytest.raises(ServiceUnavailable):
            await engine.read("SELECT * FROM facts")


async def test_two_that_add_one_profile_violate_nothing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile's key is unique by two indexes; a statement that names one of them violates the
    other in a race, which is then repeated again and again."""
    engine = await PostgresEngine.open(postgres_url, 20)
    other = await PostgresEngine.open(postgres_url, 20)
    stores = [SqlStore(engine), SqlStore(other)]
    await stores[0].tenants.create(Tenant("ten_a", "A", NOW))
    violated = Counter[str]()
    for each in (engine, other):
        attempt = each._attempt

        async def counted(job: Any, attempt: Any = attempt) -> Any:
            try:
                return await attempt(job)
            except asyncpg.IntegrityConstraintViolationError as error:
                violated[error.constraint_name] += 1
                raise

        monkeypatch.setattr(each, "_attempt", counted)
    for number in range(100):
        profile = Profile(f"prof_{number}", None, NOW)
        await asyncio.gather(*(store.profiles.create("ten_a", profile) for store in stores * 5))
    assert violated == {}
    for each in (engine, other):
        await each.close()
