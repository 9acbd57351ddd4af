"""The engine on SQLite: group commit, and files that are locked, gone or damaged."""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.domain.errors import ServiceUnavailable
from service.storage.engine import StoreError, Transaction
from service.storage.sqlite import SqliteEngine
from service.storage.store import SqlStore


async def test_what_waits_is_committed_together(database: Path) -> None:
    """A hundred writers at once need few commits."""
    engine = await SqliteEngine.open(database)
    commits: list[str] = []
    run = engine._run

    async def noted(statement: str) -> None:
        commits.append(statement)
        await run(statement)

    engine._run = noted  # type: ignore[method-assign]
    store = SqlStore(engine)
    await asyncio.gather(*(store.facts.put_once(f"n{number}", "v") for number in range(100)))
    assert commits.count("COMMIT") <= 3
    await engine.close()


async def test_a_failed_open_leaves_no_connection(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader on the loop is closed if one of its pragmas fails."""
    opened: list[sqlite3.Connection] = []
    connect, this_thread = sqlite3.connect, threading.get_ident()

    def noted(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        if threading.get_ident() == this_thread:
            opened.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", noted)
    monkeypatch.setattr("service.storage.sqlite._LOOP_READER", ("PRAGMA query_only = ON", "no SQL"))
    with pytest.raises(StoreError):
        await SqliteEngine.open(database)
    [reader] = opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        reader.execute("SELECT 1")


async def test_a_database_that_is_away_is_service_unavailable_and_comes_back(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked by another for longer than we wait: an error, nothing half written, then recovery."""
    monkeypatch.setattr(
        "service.storage.sqlite._WRITER", ("PRAGMA journal_mode = WAL", "PRAGMA busy_timeout = 10")
    )
    engine = await SqliteEngine.open(database)
    store = SqlStore(engine)
    blocker = sqlite3.connect(database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceUnavailable):
        await store.facts.put_once("a", "1")
    assert await store.facts.get("a") is None
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await store.facts.put_once("a", "2") == "2"
    await engine.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_gone_takes_no_writes(database: Path, replaced: bool) -> None:
    """Moved, deleted or replaced under the server: an error rather than a promise that the next
    start would not find; once the file is back, so is the store."""
    store = SqlStore(await SqliteEngine.open(database))
    elsewhere = database.with_name("elsewhere.db")
    shutil.move(database, elsewhere)
    if replaced:
        shutil.copy(elsewhere, database)
    with pytest.raises(ServiceUnavailable):
        await store.facts.put_once("a", "1")
    shutil.move(elsewhere, database)
    assert await store.facts.get("a") is None
    assert await store.facts.put_once("a", "2") == "2"
    await store.close()


async def test_a_constraint_that_is_violated_is_logged(database: Path) -> None:
    """By its type, and is SERVICE_UNAVAILABLE: jobs beside it are committed."""
    engine = await SqliteEngine.open(database)
    store = SqlStore(engine)

    async def twice(transaction: Transaction) -> None:
        for _ in range(2):
            await transaction.run("INSERT INTO facts VALUES ('hunter2', 'hunter2')")

    with capture_logs() as lines:
        outcome, said = await asyncio.gather(
            engine.write(twice), store.facts.put_once("a", "1"), return_exceptions=True
        )
    assert isinstance(outcome, ServiceUnavailable)
    assert said == "1"
    assert lines == [
        {"event": "constraint violated", "exception": "IntegrityError", "log_level": "error"}
    ]
    assert await store.facts.get("hunter2") is None
    await engine.close()


async def test_a_writer_that_is_full_says_so(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue has a bound."""
    monkeypatch.setattr("service.storage.sqlite.MAX_WAITING_JOBS", 10)
    engine = await SqliteEngine.open(database)
    store = SqlStore(engine)
    outcomes = await asyncio.gather(
        *(store.facts.put_once(f"n{number}", "v") for number in range(50)), return_exceptions=True
    )
    assert any(isinstance(outcome, ServiceUnavailable) for outcome in outcomes)
    assert outcomes.count("v") >= 10
    await engine.close()


async def test_the_file_is_kept_as_promised(database: Path) -> None:
    """WAL, synchronous=FULL, secure_delete and foreign keys on the connection that writes."""
    engine = await SqliteEngine.open(database)
    pragmas = {}
    for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys"):
        rows = list(await engine._writer.execute_fetchall(f"PRAGMA {name}"))
        pragmas[name] = rows[0][0]
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
    }
    for reader in engine._readers:
        with pytest.raises(sqlite3.OperationalError):
            await reader.execute_fetchall("DELETE FROM facts")
    await engine.close()


async def test_a_damaged_file_is_a_store_that_is_away(database: Path) -> None:
    """SERVICE_UNAVAILABLE for reads and writes: nothing is wrong with the call; and all goes on
    when it has been mended."""
    whole = spoil(database)
    store = SqlStore(await SqliteEngine.open(database))
    for call in (store.facts.get("a"), store.facts.put_once("a", "1")):
        with pytest.raises(ServiceUnavailable) as caught:
            await call
        assert caught.value.why == "DatabaseError"
    mend(database, whole)
    assert await store.facts.put_once("a", "1") == "1"
    assert [await store.facts.get("a") for _ in range(3)] == ["1"] * 3
    await store.close()


@pytest.mark.slow
async def test_who_comes_while_the_file_is_locked_waits_no_longer_than_who_came_first(
    database: Path,
) -> None:
    """All are refused with the first: the next would wait as long again, past its deadline."""
    engine = await SqliteEngine.open(database)
    await engine._writer.execute_fetchall("PRAGMA busy_timeout = 2000")
    store = SqlStore(engine)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(store.facts.put_once("a", "1"))
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(store.facts.put_once(name, "1")) for name in "bcd"]
        done, _ = await asyncio.wait([first, *others], timeout=3.6)
        assert [type(task.exception()) for task in done] == [ServiceUnavailable] * 4
    assert await store.facts.put_once("a", "2") == "2"
    await store.close()


def mend(database: Path, content: bytes) -> None:
    """Write over the file, in its place."""
    with database.open("r+b") as file:
        file.write(content)


def spoil(database: Path) -> bytes:
    """Damage the pages of one table; SQLite opens the file all the same. What was there."""
    whole = database.read_bytes()
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'facts'")
        pages = [page for (page,) in found]
    with database.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
    return whole
