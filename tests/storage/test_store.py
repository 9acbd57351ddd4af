"""The contract of a store: every engine keeps it."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.domain.errors import ProfileAlreadyExists, ProfileNotFound, ServiceUnavailable
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
from service.storage.sqlite import SqliteEngine
from service.storage.store import SqlStore
from tests.support.engines import on_both, opened

engine = on_both

NOW = 1_800_000_000 * SECOND
RESERVED_UNTIL = NOW + 45 * SECOND
PLACE = SecretAddress("ten_a", "prof_a", "bluesky", "did:plc:a", "https://a.example", 1)
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
    context = PLACE._replace(**{k: v for k, v in changes.items() if hasattr(PLACE, k)})  # type: ignore[arg-type]
    saved = LoginWrite(
        context,
        "a.example",
        Envelope("seal-1", b"credential"),
        Envelope("seal-1", b"session"),
        NOW,
        NOW + DAY,
        create_profile=True,
        reservation=None,
        at=NOW,
    )
    return replace(saved, **{k: v for k, v in changes.items() if not hasattr(PLACE, k)})  # type: ignore[arg-type]


async def test_keys_come_back_as_they_were_added(store: SqlStore) -> None:
    """With their scopes; a key of no tenant is not added; revoking tells whether there was one."""
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
    assert replaced.context == PLACE
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


async def test_a_caller_that_is_gone_leaves_the_writer_working(store: SqlStore) -> None:
    """Cancelled while it waits or while it writes."""
    tasks = [asyncio.create_task(store.facts.put_once(f"n{number}", "v")) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[1::2] == ["v"] * 10
    assert await store.facts.put_once("after", "v") == "v"


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
