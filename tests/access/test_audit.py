"""The audit trail: every lease is written once, within a second, and kept for the set time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
from structlog.testing import capture_logs

from service.access import audit as module
from service.access.audit import AuditTrail
from service.domain.audit import AuditRow
from service.domain.errors import ServiceUnavailable
from service.domain.model import DAY, SECOND, Scope, Tenant
from service.storage.audit import SqlAudit
from service.storage.sqlite import SqliteEngine
from service.storage.store import SqlStore
from tests.support.auditing import lease_row, unnumbered
from tests.support.bluesky import Bluesky, SandboxBluesky
from tests.support.leasing import Held
from tests.support.running import MovedClock, running

LATEST = 2**62
NOW = 1_800_000_000 * SECOND


def lent(at: int = NOW, tenant_id: str = "ten_a") -> AuditRow:
    return lease_row(at, tenant_id, "key", "prof_a", "bluesky", "did:plc:a", at + 7200 * SECOND)


@pytest.fixture
async def store(database: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore(await SqliteEngine.open(database))
    for tenant_id in ("ten_a", "ten_b"):
        await store.tenants.create(Tenant(tenant_id, "test", NOW))
    yield store
    await store.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the audit every hundredth of a second."""
    monkeypatch.setattr(module, "WRITE_EVERY_SECONDS", 0.01)


async def test_every_lease_has_a_row_and_a_line(bluesky: Bluesky, database: Path) -> None:
    """They have account, tenant, key and times, but never the token; a rejected lease has none."""
    with capture_logs() as lines:
        async with running(database, bluesky.settings()) as service:
            person = await bluesky.person()
            key = (await service.connect(person.handle, person.app_password)).profile_key
            other, other_id = await service.new_key(Scope.SESSIONS_LEASE)
            replies = [await service.lease(key, api_key=other) for _ in range(3)]
            replies += await asyncio.gather(*(service.lease(key) for _ in range(20)))
            await service.lease_refused(key, platform="linkedin")
    rows = service.rows("SELECT * FROM audit WHERE lent <> '' ORDER BY at")
    assert len(rows) == len(replies) == 23
    first_id = service.leasing_key.split("_")[2]
    assert [row["key_id"] for row in rows] == [other_id] * 3 + [first_id] * 20
    ends = service.session().expires_at
    for row in rows:
        assert row["at"] < ends
        assert (row["tenant_id"], row["profile_key"]) == (service.tenant_id, key)
        assert (row["platform"], row["account_id"]) == ("bluesky", person.did)
        assert (row["method"], row["outcome"]) == ("LeaseSession", "OK")
        assert (row["lent"], row["expires_at"], row["operator"]) == ("SESSION", ends, "")
        assert row["peer"].startswith("ipv")
        assert row["request_id"]
    logged = [line for line in lines if line["event"] == "lease"]
    assert len(logged) == 23
    assert logged[0] == {
        "event": "lease",
        "log_level": "info",
        "tenant": service.tenant_id,
        "key": other_id,
        "profile": key,
        "platform": "bluesky",
        "account": person.did,
        "expires_at": ends,
        "lent": "SESSION",
    }
    assert service.session().access_token not in repr(lines)
    assert person.app_password not in repr(lines)


async def test_a_lease_is_written_within_a_second(sandbox: SandboxBluesky, database: Path) -> None:
    """The running service writes it."""
    assert module.WRITE_EVERY_SECONDS < 1
    async with running(database, sandbox.settings()) as service:
        person = await sandbox.person()
        key = (await service.connect(person.handle, person.app_password)).profile_key
        await service.lease(key)
        async with asyncio.timeout(60):
            while not service.rows("SELECT * FROM audit WHERE lent <> ''"):
                await asyncio.sleep(0.05)


async def test_leases_during_a_write_wait_for_the_next_write(
    store: SqlStore, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the audit would be written continuously under load, a few leases at a time."""
    audit = AuditTrail(store.audit, MovedClock(), DAY, {"bluesky"})
    enough = asyncio.Event()
    writes = 0

    async def add(_: Sequence[AuditRow]) -> None:
        nonlocal writes
        writes += 1
        audit.note(lent())
        if writes == 5:
            enough.set()

    monkeypatch.setattr(store.audit, "add", add)
    audit.note(lent())
    begun = monotonic()
    running = asyncio.create_task(audit.run())
    await enough.wait()
    assert monotonic() - begun >= 5 * module.WRITE_EVERY_SECONDS
    monkeypatch.undo()
    running.cancel()
    await asyncio.wait([running])


async def test_a_write_in_progress_at_the_stop_is_not_repeated(
    store: SqlStore, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases queued behind it are written too, once each."""
    monkeypatch.setattr(module, "MAX_BATCH", 10)
    audit = AuditTrail(store.audit, MovedClock(), DAY, {"bluesky"})
    for number in range(25):
        audit.note(lent(NOW + number))
    written = Held(monkeypatch, SqlAudit, "add")
    running = asyncio.create_task(audit.run())
    await written.reached.wait()
    running.cancel()
    await asyncio.sleep(0)
    written.let_go.set()
    await asyncio.wait([running])
    rows = await store.audit.page("ten_a", 0, 0, LATEST, 100)
    assert [row.at for row in rows] == [NOW + number for number in range(25)]


async def test_no_lease_is_granted_over_the_limit_of_unwritten_ones(
    store: SqlStore, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an outage of the store, audited leases are kept in memory and written afterwards. At
    the limit further leases are rejected."""
    monkeypatch.setattr(module, "MAX_UNWRITTEN", 50)
    audit = AuditTrail(store.audit, MovedClock(), 36500 * DAY, {"bluesky"})
    tried = asyncio.Event()

    async def away(*_: object) -> None:
        tried.set()
        raise ServiceUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(store.audit, "add", away)
        running = asyncio.create_task(audit.run())
        for number in range(50):
            audit.note(lent(NOW + number))
        with pytest.raises(ServiceUnavailable):
            audit.note(lent())
        await tried.wait()
        with pytest.raises(ServiceUnavailable):
            audit.note(lent())
    noted = False
    while not noted:
        await asyncio.sleep(0.01)
        with suppress(ServiceUnavailable):
            audit.note(lent(NOW + 50))
            noted = True
    running.cancel()
    await asyncio.wait([running])
    assert len(await store.audit.page("ten_a", 0, 0, LATEST, 100)) == 51


async def test_leases_that_cannot_be_written_at_the_stop_are_logged(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has their number."""
    monkeypatch.setattr(module, "MAX_LAST_ATTEMPTS", 1)
    audit = AuditTrail(store.audit, MovedClock(), DAY, {"bluesky"})
    audit.note(lent())

    async def away(*_: object) -> None:
        raise ServiceUnavailable

    monkeypatch.setattr(store.audit, "add", away)
    running = asyncio.create_task(audit.run())
    await asyncio.sleep(0)
    running.cancel()
    with capture_logs() as lines:
        await asyncio.wait([running])
    assert {
        "event": "rows of the audit trail are lost",
        "rows": 1,
        "log_level": "critical",
    } in lines


async def test_old_leases_are_pruned(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of every tenant, also many of one microsecond; newer ones are kept."""
    monkeypatch.setattr(module, "MAX_PRUNED", 3)
    clock = MovedClock()
    now = clock.now()
    old = [lent(now - 3 * DAY)] * 7 + [lent(now - 2 * DAY - number, "ten_b") for number in range(5)]
    kept = [lent(now - DAY + 60 * SECOND + number) for number in range(4)]
    await store.audit.add([*old, *kept])
    audit = AuditTrail(store.audit, clock, DAY, {"bluesky"})
    running = asyncio.create_task(audit.run())
    while await store.audit.page("ten_b", 0, 0, LATEST, 1):
        await asyncio.sleep(0.01)
    while len(await store.audit.page("ten_a", 0, 0, LATEST, 100)) > 4:
        await asyncio.sleep(0.01)
    assert unnumbered(await store.audit.page("ten_a", 0, 0, LATEST, 100)) == kept
    running.cancel()
    await asyncio.wait([running])


async def test_pages_of_the_audit_have_every_row_once(store: SqlStore) -> None:
    """Also rows of one microsecond, and none of another tenant's."""
    times = [1, 2, 2, 2, 2, 3, 4, 4, 5]
    await store.audit.add([lent(at) for at in reversed(times)] + [lent(2, "ten_b")])
    pages: list[Sequence[int]] = []
    since = after = 0
    while page := await store.audit.page("ten_a", since, after, LATEST, 2):
        pages.append([lease.at for lease in page])
        since, after = page[-1].at, page[-1].number
    assert [at for page in pages for at in page] == times
    assert len(pages) > 1
