"""MeasuredEngine: what queries, transactions and conflicts leave in the metrics."""

import pytest

from service.domain.errors import ProfileNotFound, ServiceUnavailable
from service.runtime.metrics import Metrics
from service.storage.engine import Transaction
from service.storage.measured import MeasuredEngine
from service.storage.store import SqlStore
from tests.support.engines import opened, rows
from tests.support.scraping import parsed


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


async def test_each_operation_is_timed(database_url: str) -> None:
    """A query and a transaction each count once, and one that fails as an error as well."""
    metrics = Metrics()
    store = SqlStore(MeasuredEngine(await opened(database_url), metrics))
    await store.facts.put_once("a", "1")
    await store.checks.next_due()
    found = parsed(metrics.text().decode())
    name = "postcore_store_duration_seconds_count"
    assert [found.value(name, operation=one) for one in ("read", "write")] == [1, 1]
    assert found.value("postcore_store_errors_total") == 0
    await store.close()
    with pytest.raises(ServiceUnavailable):
        await store.checks.next_due()
    found = parsed(metrics.text().decode())
    assert found.value("postcore_store_errors_total", operation="read") == 1


async def test_a_look_up_by_key_is_a_query_where_it_waits(database_url: str) -> None:
    """On PostgreSQL it is timed; on SQLite, where it is found at once, it is not. Each counts as an
    error if it fails."""
    metrics = Metrics()
    engine = await opened(database_url)
    store = SqlStore(MeasuredEngine(engine, metrics))
    with pytest.raises(ProfileNotFound):
        await store.profiles.get("ten_none", "prof_none")
    found = parsed(metrics.text().decode())
    timed = found.value("postcore_store_duration_seconds_count", operation="read")
    assert timed == (not database_url.startswith("sqlite"))
    await store.close()
    with pytest.raises(ServiceUnavailable):
        await store.profiles.get("ten_none", "prof_none")
    found = parsed(metrics.text().decode())
    assert found.value("postcore_store_errors_total", operation="read") == 1


async def test_use_is_shown(database_url: str) -> None:
    """PostgreSQL's pool by state; transactions that met a conflict. SQLite has neither."""
    engine = await opened(database_url)
    store = SqlStore(engine)
    await store.facts.put_once("a", "0")
    attempts = 0

    async def job(transaction: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        await transaction.run("SELECT value FROM facts WHERE name = $1", "a")
        if attempts == 1 and store.usage().pool:
            assert store.usage().pool["used"] == 1
            rows(database_url, "UPDATE facts SET value = '1' WHERE name = 'a'")
        await transaction.run("UPDATE facts SET value = $1 WHERE name = 'a'", "2")

    await engine.write(job)
    usage = store.usage()
    is_postgres = not database_url.startswith("sqlite")
    assert (usage.waiting, usage.conflicts, attempts) == (0, is_postgres, 1 + is_postgres)
    assert set(usage.pool) == ({"used", "idle", "max"} if is_postgres else set())
    await store.close()
    assert store.usage().pool.get("used", 0) == 0
