"""The engine on PostgreSQL: its types and its order, its bounds and its faults."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import asyncpg
import pytest

from service.domain.errors import (
    ServiceUnavailable,
)
from service.domain.model import Profile, Tenant
from service.storage import postgres as engines
from service.storage.engine import StoreError, Transaction
from service.storage.postgres import PostgresEngine, schema_revision
from service.storage.statements import facts
from service.storage.store import SqlStore
from tests.storage.test_store import NOW, login
from tests.support.engines import POOL_SIZE, rows
from tests.support.postgres import Cluster
from tests.support.statements import every_statement

PLACE = ("ten_a", "prof_a", "bluesky")


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    engine = await PostgresEngine.open(postgres_url, POOL_SIZE)
    yield engine
    await engine.close()


async def test_every_statement_fits_its_types(postgres_url: str) -> None:
    """Each parameter is taken as text, bytes or a number that holds any time: as the model has
    them, and as SQLite takes anything."""
    connection = await asyncpg.connect(postgres_url)
    for name, text in every_statement().items():
        prepared = await connection.prepare(text)
        types = {parameter.name for parameter in prepared.get_parameters()}
        assert types <= {"text", "int8", "bytea"}, name
    await connection.close()


async def test_text_is_compared_byte_by_byte(engine: PostgresEngine, postgres_url: str) -> None:
    """In every column: pages have the same order as on SQLite, independent of the database's
    locale."""
    store = SqlStore(engine)
    await store.tenants.create(Tenant("ten_a", "A", NOW))
    keys = ["prof_0", "prof_A", "prof_B", "prof_a", "prof_b", "prof_ä"]
    for key in random.sample(keys, len(keys)):
        await store.profiles.create("ten_a", Profile(key, None, NOW))
    connection = await asyncpg.connect(postgres_url)
    in_that_language = await connection.fetchval("SELECT 'prof_a' < 'prof_B'")
    columns = await connection.fetch(
        "SELECT collation_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'text'"
    )
    await connection.close()
    assert in_that_language
    assert {column["collation_name"] for column in columns} == {"C"}
    found = rows(postgres_url, "SELECT profile_key FROM profiles ORDER BY created_at, profile_key")
    assert [row["profile_key"] for row in found] == keys
    first = Profile("prof_A", None, NOW)
    page = await store.profiles.page("ten_a", first, 10, to_reconnect=False)  # type: ignore[arg-type]
    assert [profile.profile_key for profile in page] == keys[2:]


async def test_connections_are_waited_for_in_bounds(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all are in use for too long, or too many wait, it is SERVICE_UNAVAILABLE; then all
    goes on."""
    engine = await PostgresEngine.open(postgres_url, 1)
    store = SqlStore(engine)
    go_on = asyncio.Event()
    begun = asyncio.Event()

    async def job(transaction: Transaction) -> str:
        begun.set()
        await go_on.wait()
        await transaction.run("INSERT INTO facts VALUES ('a', 'a')")
        return "done"

    slow = asyncio.create_task(engine.write(job))
    await begun.wait()
    monkeypatch.setattr(engines, "WAIT_SECONDS", 0.2)
    with pytest.raises(ServiceUnavailable):
        await store.facts.get("a")
    monkeypatch.setattr(engines, "MAX_CALLS", 1)
    with pytest.raises(ServiceUnavailable, match="not available") as caught:
        await store.facts.get("a")
    assert caught.value.why == "callers_waiting"
    monkeypatch.undo()
    go_on.set()
    assert await slow == "done"
    assert await store.facts.get("a") == "a"
    await engine.close()


async def test_reads_go_on_while_writers_wait(engine: PostgresEngine, postgres_url: str) -> None:
    """Writers that wait for somebody's row leave connections for reads."""
    store = SqlStore(engine)
    await store.tenants.create(Tenant("ten_a", "A", NOW))
    holder = await asyncpg.connect(postgres_url)
    held = holder.transaction()
    await held.start()
    await holder.execute("UPDATE tenants SET last_event = 0")
    writers = [
        asyncio.create_task(store.connections.save_login(login(profile_key=f"prof_{number}")))
        for number in range(2 * POOL_SIZE)
    ]
    async with asyncio.timeout(3):
        for _ in range(20):
            assert [tenant.name for tenant in await store.tenants.all()] == ["A"]
    assert not any(writer.done() for writer in writers)
    await held.rollback()
    await holder.close()
    assert await asyncio.gather(*writers) == [None] * len(writers)


async def test_what_takes_too_long_is_ended(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement by the server, a transaction by us: SERVICE_UNAVAILABLE, and on it goes."""
    monkeypatch.setitem(engines._SESSION, "statement_timeout", "100ms")
    monkeypatch.setattr(engines, "WRITE_SECONDS", 0.5)
    engine = await PostgresEngine.open(postgres_url, 1)
    with pytest.raises(ServiceUnavailable) as caught:
        await engine.read("SELECT pg_sleep(100)")
    assert caught.value.why == "QueryCanceledError"

    async def job(transaction: Transaction) -> None:
        await transaction.run("INSERT INTO facts VALUES ('a', 'a')")
        await asyncio.Event().wait()

    with pytest.raises(ServiceUnavailable):
        await engine.write(job)
    assert await engine.read("SELECT * FROM facts") == []
    await engine.close()


async def test_callers_that_are_gone_leave_the_pool_whole(engine: PostgresEngine) -> None:
    """Cancelled while they wait, read or write, they leave neither a transaction nor a gap."""
    store = SqlStore(engine)
    for delay in range(40):
        tasks = [
            asyncio.create_task(store.facts.put_once(f"n{number}", "v")) for number in range(20)
        ]
        await asyncio.sleep(delay / 4000)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[1::2] == ["v"] * 10
    found = await asyncio.gather(*(store.facts.get("n1") for _ in range(POOL_SIZE)))
    assert found == ["v"] * POOL_SIZE
    [idle] = await engine.read(
        "SELECT count(*) AS left_open FROM pg_stat_activity"
        " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    assert idle["left_open"] == 0


async def test_a_connection_is_handed_on_as_it_is(
    engine: PostgresEngine, postgres_url: str
) -> None:
    """The driver's reset is not run between two calls: a read costs one statement."""
    await SqlStore(engine).facts.get("a")
    found = rows(
        postgres_url, "SELECT query FROM pg_stat_activity WHERE application_name = 'postcore'"
    )
    assert [row["query"] for row in found] == [facts.REMEMBERED]


async def test_a_database_that_takes_no_writes(
    postgres: Cluster, postgres_url: str, engine: PostgresEngine
) -> None:
    """Is refused at the start in a sentence; later it is SERVICE_UNAVAILABLE for writes alone,
    until it takes them again."""
    name = postgres_url.rpartition("/")[2]
    store = SqlStore(engine)
    await postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match="is read-only; name the one that takes writes"):
        await schema_revision(postgres_url)
    with pytest.raises(ServiceUnavailable) as caught:
        await store.facts.put_once("a", "1")
    assert caught.value.why == "ReadOnlySQLTransactionError"
    assert await store.facts.get("a") is None
    readers = [store.facts.get("a") for _ in range(POOL_SIZE)]
    await asyncio.gather(*readers)  # connections from before it takes writes again
    await postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await store.facts.put_once("a", "1") == "1"


async def test_a_database_that_is_full(
    postgres: Cluster, postgres_url: str, engine: PostgresEngine
) -> None:
    """With the server's own error for a disk without room: SERVICE_UNAVAILABLE for writes alone,
    until there is room again. (Row 14 of the attacks tests a full disk.)"""
    name = postgres_url.rpartition("/")[2]
    store = SqlStore(engine)
    await postgres.execute(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;"
        " CREATE TRIGGER no_room BEFORE INSERT ON facts EXECUTE FUNCTION no_room()",
        name,
    )
    with pytest.raises(ServiceUnavailable) as caught:
        await store.facts.put_once("a", "1")
    assert caught.value.why == "DiskFullError"
    assert await store.facts.get("a") is None
    await postgres.execute("DROP TRIGGER no_room ON facts", name)
    assert await store.facts.put_once("a", "1") == "1"


async def test_a_database_in_another_encoding_is_refused(postgres: Cluster) -> None:
    """Since there are names that it could not hold."""
    await postgres.execute(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc"
    )
    with pytest.raises(StoreError, match="has another encoding than UTF8"):
        await schema_revision(postgres.url("latin"))
    await postgres.drop("latin")


async def test_a_server_that_says_nothing_is_not_waited_for_long(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is taken and not answered is a sentence, or SERVICE_UNAVAILABLE."""
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        url = f"postgresql://u:p@127.0.0.1:{mute.getsockname()[1]}/d"
        with pytest.raises(StoreError, match=r"cannot be reached \(TimeoutError\)"):
            await schema_revision(url)
        engine = await PostgresEngine.open(url, 1)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                await engine.read("SELECT 1")
        await engine.close()


async def test_an_old_program_goes_on_beside_a_newer_schema(
    engine: PostgresEngine, postgres_url: str
) -> None:
    """Statements that are prepared are so again where a migration has changed their tables."""
    store = SqlStore(engine)
    statement = "SELECT * FROM facts"

    async def job(transaction: Transaction) -> list[Any]:
        return [dict(row) for row in await transaction.run(statement)]

    await store.facts.put_once("a", "1")
    assert await engine.write(job) == [{"name": "a", "value": "1"}]
    rows(postgres_url, "ALTER TABLE facts ADD COLUMN more BIGINT")
    assert await engine.write(job) == [{"name": "a", "value": "1", "more": None}]
    assert [dict(row) for row in await engine.read(statement)] == await engine.write(job)
