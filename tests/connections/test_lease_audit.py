"""The audit of leases: every lease is written once, within a second, and kept for the set time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
from structlog.testing import capture_logs

from service.connections import lease_audit as module
from service.connections.lease_audit import Audit
from service.domain.errors import ServiceUnavailable
from service.domain.model import DAY, SECOND, Scope, Tenant
from service.domain.records import AuditedLease
from service.storage.lease_audit import SqlLeaseAudit
from service.storage.sqlite import SqliteEngine
from service.storage.store import SqlStore
from tests.support.bluesky import Bluesky, SandboxBluesky
from tests.support.leasing import Held
from tests.support.running import MovedClock, running

NOW = 1_800_000_000 * SECOND


def lent(at: int = NOW, tenant_id: str = "ten_a") -> AuditedLease:
    return AuditedLease(at, tenant_id, "key", "prof_a", "bluesky", "did:plc:a", at + 7200 * SECOND)


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
    rows = service.rows("SELECT * FROM leases ORDER BY at")
    assert len(rows) == len(replies) == 23
    first_id = service.leasing_key.split("_")[2]
    assert [row["key_id"] for row in rows] == [other_id] * 3 + [first_id] * 20
    ends = service.session().expires_at
    for row in rows:
        assert row.pop("at") < ends
        row.pop("key_id")
        assert row == {
            "tenant_id": service.tenant_id,
            "profile_key": key,
            "platform": "bluesky",
            "account_id": person.did,
            "expires_at": ends,
        }
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


async def test_a_lease_is_written_within_a_second(
    sandbox: SandboxBluesky, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The running service writes it."""
    assert module.WRITE_EVERY_SECONDS < 1
    written = Held(monkeypatch, SqlLeaseAudit, "add_leases")
    written.let_go.set()
    async with running(database, sandbox.settings()) as service:
        person = await sandbox.person()
        key = (await service.connect(person.handle, person.app_password)).profile_key
        await service.lease(key)
        await written.reached.wait()
        assert len(service.rows("SELECT * FROM leases")) == 1


async def test_leases_during_a_write_wait_for_the_next_write(
    store: SqlStore, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the audit would be written continuously under load, a few leases at a time."""
    audit = Audit(store.lease_audit, MovedClock(), DAY)
    enough = asyncio.Event()
    writes = 0

    async def add_leases(_: Sequence[AuditedLease]) -> None:
        nonlocal writes
        writes += 1
        audit.note(lent())
        if writes == 5:
            enough.set()

    monkeypatch.setattr(store.lease_audit, "add_leases", add_leases)
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
    audit = Audit(store.lease_audit, MovedClock(), DAY)
    for number in range(25):
        audit.note(lent(NOW + number))
    written = Held(monkeypatch, SqlLeaseAudit, "add_leases")
    running = asyncio.create_task(audit.run())
    await written.reached.wait()
    running.cancel()
    await asyncio.sleep(0)
    written.let_go.set()
    await asyncio.wait([running])
    rows = await store.lease_audit.leases("ten_a", 0, 100)
    assert [row.at for row in rows] == [NOW + number for number in range(25)]


async def test_no_lease_is_granted_over_the_limit_of_unwritten_ones(
    store: SqlStore, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an outage of the store, audited leases are kept in memory and written afterwards. At
    the limit further leases are rejected."""
    monkeypatch.setattr(module, "MAX_UNWRITTEN", 50)
    audit = Audit(store.lease_audit, MovedClock(), 36500 * DAY)
    tried = asyncio.Event()

    async def away(*_: object) -> None:
        tried.set()
        raise ServiceUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(store.lease_audit, "add_leases", away)
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
    assert len(await store.lease_audit.leases("ten_a", 0, 100)) == 51


async def test_leases_that_cannot_be_written_at_the_stop_are_logged(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has their number."""
    monkeypatch.setattr(module, "MAX_LAST_ATTEMPTS", 1)
    audit = Audit(store.lease_audit, MovedClock(), DAY)
    audit.note(lent())

    async def away(*_: object) -> None:
        raise ServiceUnavailable

    monkeypatch.setattr(store.lease_audit, "add_leases", away)
    running = asyncio.create_task(audit.run())
    await asyncio.sleep(0)
    running.cancel()
    with capture_logs() as lines:
        await asyncio.wait([running])
    assert {"event": "audit of leases is lost", "leases": 1, "log_level": "critical"} in lines


async def test_old_leases_are_pruned(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of every tenant, also many of one microsecond; newer ones are kept."""
    monkeypatch.setattr(module, "MAX_PRUNED", 3)
    clock = MovedClock()
    now = clock.now()
    old = [lent(now - 3 * DAY)] * 7 + [lent(now - 2 * DAY - number, "ten_b") for number in range(5)]
    kept = [lent(now - DAY + 60 * SECOND + number) for number in range(4)]
    await store.lease_audit.add_leases([*old, *kept])
    audit = Audit(store.lease_audit, clock, DAY)
    running = asyncio.create_task(audit.run())
    while await store.lease_audit.leases("ten_b", 0, 1):
        await asyncio.sleep(0.01)
    while len(await store.lease_audit.leases("ten_a", 0, 100)) > 4:
        await asyncio.sleep(0.01)
    assert await store.lease_audit.leases("ten_a", 0, 100) == kept
    running.cancel()
    await asyncio.wait([running])


async def test_a_page_of_the_audit_splits_no_microsecond(store: SqlStore) -> None:
    """The next page starts after it: every lease of the tenant occurs once, and none of another
    tenant's."""
    times = [1, 2, 2, 2, 2, 3, 4, 4, 5]
    await store.lease_audit.add_leases([lent(at) for at in reversed(times)] + [lent(2, "ten_b")])
    pages: list[Sequence[int]] = []
    since = 0
    while page := await store.lease_audit.leases("ten_a", since, 2):
        pages.append([lease.at for lease in page])
        since = page[-1].at + 1
    assert [at for page in pages for at in page] == times
    assert len(pages) > 1
