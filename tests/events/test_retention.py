"""Retention: how long events are kept, and watches of pruned events."""

import asyncio
from pathlib import Path

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import DAY, SECOND
from tests.support.bluesky import SandboxBluesky
from tests.support.engines import on_both
from tests.support.running import MovedClock, Running, running
from tests.support.watcher import DEADLINE, Watcher, begun, beside, narrow, retention_of

engine = on_both


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


async def test_a_cursor_older_than_what_is_kept_has_expired(
    sandbox: SandboxBluesky,
    database: Path,
    database_url: str,
    clock: MovedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cursor older than seven days is OUT_OF_RANGE with CURSOR_EXPIRED.

    This includes events of deleted profiles. Later events are kept; the cursor right before them is
    valid, and so is the newest at any age.
    """
    monkeypatch.setattr("service.events.retention.EVERY_SECONDS", 0.05)
    settings = {**sandbox.settings(), "DATABASE_URL": database_url}
    async with running(database, settings, clock) as service, beside(service) as others:
        start = (await begun(service)).cursor
        watcher = await begun(service)
        old = [await others.connect() for _ in range(3)]
        await others.delete(old[1])
        await watcher.events(4)
        four = watcher.cursor
        await until_marked(service, 4)
        clock.ahead += 6 * DAY
        new = await others.connect()
        await watcher.events(1)
        await until_marked(service, 5)
        assert len(await Watcher(service, start).events(5)) == 5
        clock.ahead += DAY + DAY // 24
        async with asyncio.timeout(DEADLINE):
            while len(service.rows("SELECT * FROM events")) > 1:
                await asyncio.sleep(0.02)
        refusal = await Watcher(service, start).refusal()
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.OUT_OF_RANGE,
            "CURSOR_EXPIRED",
        )
        for kept in (Watcher(service, four), Watcher(service, from_oldest=True)):
            [event] = await kept.events(1)
            assert event.profile_key == new
        clock.ahead += 7 * DAY
        async with asyncio.timeout(DEADLINE):
            while service.rows("SELECT number FROM events UNION SELECT number FROM event_marks"):
                await asyncio.sleep(0.02)
        assert (await Watcher(service, four).refusal()).reason == "CURSOR_EXPIRED"
        last = watcher.cursor
        resumed, oldest = await begun(service, last), await begun(service, from_oldest=True)
        assert resumed.cursor == oldest.cursor == last
        newest = await others.connect()
        for stream in (watcher, resumed, oldest):
            [event] = await stream.events(1)
            assert event.profile_key == newest


async def until_marked(service: Running, number: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while not service.rows("SELECT * FROM event_marks WHERE number = ?", number):
            await asyncio.sleep(0.02)


async def test_a_reply_is_kept_for_a_day(sandboxed: Running, clock: MovedClock) -> None:
    """It names a profile and a username: it goes also if its tenant makes no other request."""
    async with beside(sandboxed) as others:
        request = pb.CreateProfileRequest(idempotency_key="once")
        await sandboxed.profiles.CreateProfile(request, metadata=sandboxed.metadata())
        retention = retention_of(others.store, clock)
        await retention.prune()
        assert sandboxed.rows("SELECT reply FROM idempotency_records")
        clock.ahead += DAY + SECOND
        await retention.prune()
        assert not sandboxed.rows("SELECT reply FROM idempotency_records")


async def test_events_are_pruned_in_batches(
    sandboxed: Running, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches cover any number of events and tenants; event numbers continue."""
    monkeypatch.setattr("service.storage.events.BATCH", 3)
    monkeypatch.setattr("service.events.retention.REST_SECONDS", 0)
    tenants = [sandboxed.tenant_id, *[await sandboxed.new_tenant() for _ in range(7)]]
    async with beside(sandboxed) as others:
        for count, tenant_id in enumerate(tenants):
            for _ in range(count):
                await others.connect(tenant_id=tenant_id)
        retention = retention_of(others.store, clock)
        await retention.prune()
        marks = sandboxed.rows("SELECT tenant_id, number FROM event_marks")
        assert {mark["tenant_id"]: mark["number"] for mark in marks} == {
            tenant_id: count for count, tenant_id in enumerate(tenants) if count
        }
        clock.ahead += 7 * DAY - 1_000_000
        await retention.prune()
        assert len(sandboxed.rows("SELECT * FROM events")) == sum(range(8))
        late = await others.connect(tenant_id=tenants[-1])
        clock.ahead += 60 * 1_000_000
        await retention.prune()
        [event] = sandboxed.rows("SELECT * FROM events")
        assert (event["profile_key"], event["number"]) == (late, 8)


@pytest.mark.parametrize("engine", ["sqlite"])  # it takes thousands of one tenant's events
async def test_a_reader_overtaken_by_the_pruning_gets_an_error(
    sandboxed: Running, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream whose unread events were pruned ends with CURSOR_EXPIRED: there is no silent gap."""
    monkeypatch.setattr("service.events.watch.MAX_EVENTS_PER_MESSAGE", 1)
    async with beside(sandboxed) as others:
        await others.connect_many(5_000)
        async with narrow(sandboxed) as channel:
            slow = Watcher(sandboxed, from_oldest=True, channel=channel)
            first = await slow.message()
            retention = retention_of(others.store, clock)
            await retention.prune()
            clock.ahead += 8 * DAY
            await retention.prune()
            assert not sandboxed.rows("SELECT * FROM events")
            assert (await slow.refusal()).reason == "CURSOR_EXPIRED"
            assert len(first.events) + slow.received < 2_500
