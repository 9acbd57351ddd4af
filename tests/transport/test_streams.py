"""Streams in the boundary: authentication, limits, and how they end."""

import asyncio
import gc
import os
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import grpc.aio
import pytest

from service.domain.errors import ServiceUnavailable
from service.domain.model import Scope
from service.storage.api_keys import SqlApiKeys
from service.storage.events import SqlEvents
from service.transport.admission import KEY_CHECK_SECONDS
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, running
from tests.support.watcher import DEADLINE, Watcher, begun, beside, narrow

WATCH = "/postcore.profiles.v1.ProfileService/WatchConnections"
MANY = 5_000
"""Events that are more than what can be on its way to a reader."""


async def refused(service: Running, encoded: bytes, *metadata: tuple[str, str]) -> Any:
    """Return the status of a stream that is started with raw bytes."""
    watcher = Watcher(service)
    watcher.call.cancel()
    raw: Any = service.channel.unary_stream(WATCH)
    watcher.call = raw(encoded, metadata=metadata)
    return await watcher.refusal()


async def test_a_stream_passes_the_same_checks_as_a_call(sandboxed: Running) -> None:
    """Key, scope and decoding are checked, and the request id is only in the trailers."""
    key, _ = await sandboxed.new_key(Scope.PROFILES_WRITE)
    refusal = await Watcher(sandboxed, api_key=key).refusal()
    assert (refusal.code, refusal.reason, refusal.metadata) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "INSUFFICIENT_SCOPE",
        {"requiredScope": "profiles:read"},
    )
    assert (await Watcher(sandboxed, api_key="x").refusal()).reason == "INVALID_API_KEY"
    assert (await refused(sandboxed, b"")).reason == "MISSING_API_KEY"
    for encoded, field in ((b"\xff", ""), (b"\x0a\x02\xc3\x28", "cursor")):
        metadata = (*sandboxed.metadata(), ("x-request-id", "abc-1"))
        refusal = await refused(sandboxed, encoded, *metadata)
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", (field,))
        assert refusal.trailers["x-request-id"] == "abc-1"
        assert b"abc-1" not in refusal.wire


async def test_streams_count_towards_the_rate_limit(
    sandbox: SandboxBluesky, database: Path
) -> None:
    """At the limit the error is RATE_LIMIT_EXCEEDED with the time to wait."""
    async with running(database, {**sandbox.settings(), "CALLS_PER_SECOND": "1"}) as service:
        await begun(service)
        refusal = await Watcher(service).refusal()
        assert (refusal.code, refusal.reason, refusal.retry_after) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMIT_EXCEEDED",
            1,
        )


async def test_streams_are_limited_by_tenant_and_in_total(
    sandbox: SandboxBluesky, database: Path
) -> None:
    """More get RATE_LIMIT_EXCEEDED, and one that ends frees a slot. Calls have their own slots."""
    limits = {"MAX_STREAMS": "3", "STREAMS_PER_TENANT": "2", "MAX_CONCURRENT_CALLS": "1"}
    async with running(database, {**sandbox.settings(), **limits}) as service:
        stranger, _ = await service.new_key(tenant_id=await service.new_tenant())
        third, _ = await service.new_key(tenant_id=await service.new_tenant())
        ours = [await begun(service) for _ in range(2)]
        refusal = await Watcher(service).refusal()
        assert (refusal.reason, refusal.retry_after) == ("RATE_LIMIT_EXCEEDED", 10)
        theirs = await begun(service, api_key=stranger)
        refusal = await Watcher(service, api_key=third).refusal()
        assert refusal.reason == "RATE_LIMIT_EXCEEDED"
        assert (await service.refused("a.test", "p")).reason == "INVALID_CREDENTIALS"
        for ended in (theirs, ours[0]):
            ended.call.cancel()
            await begun_in_the_end(service, third)


async def begun_in_the_end(service: Running, api_key: str) -> None:
    """Return a stream that starts after the slot of an earlier one is free."""
    async with asyncio.timeout(DEADLINE):
        while True:
            watcher = Watcher(service, api_key=api_key)
            try:
                await watcher.call.read()
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)
            else:
                return


@pytest.mark.slow
async def test_a_revoked_key_and_a_deleted_tenant_end_their_streams_within_5_seconds(
    sandboxed: Running,
) -> None:
    """INVALID_API_KEY ends them, also if the client reads nothing; other streams continue."""
    revoked, revoked_id = await sandboxed.new_key()
    gone = await sandboxed.new_tenant()
    of_gone, _ = await sandboxed.new_key(tenant_id=gone)
    other = await begun(sandboxed)
    async with beside(sandboxed) as others, narrow(sandboxed) as channel:
        await others.connect_many(MANY)
        stuck = await begun(sandboxed, from_oldest=True, api_key=revoked, channel=channel)
        ending = [await begun(sandboxed, api_key=key) for key in (revoked, of_gone)]
        started = monotonic()
        await sandboxed.revoke_key(revoked_id)
        while await others.store.tenants.delete_batch(gone, 1) is not None:
            pass
        refusals = await asyncio.gather(*(watcher.refusal() for watcher in ending))
        assert monotonic() - started < 5
        assert [refusal.reason for refusal in refusals] == ["INVALID_API_KEY"] * 2
        assert (await stuck.refusal()).reason == "INVALID_API_KEY"
        assert stuck.received < MANY / 2
        await other.events(MANY)


@pytest.mark.slow
async def test_an_unavailable_store_does_not_invalidate_keys(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that does not need the store continues. One that does ends with SERVICE_UNAVAILABLE
    and can be resumed."""
    watcher = await begun(sandboxed)
    asked = asyncio.Event()
    api_key = SqlApiKeys.get

    async def away(*_: object) -> Any:
        asked.set()
        raise ServiceUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(SqlApiKeys, "get", away)
        patch.setattr(SqlEvents, "latest", away)
        async with asyncio.timeout(DEADLINE):
            await asked.wait()
            await asyncio.sleep(2 * KEY_CHECK_SECONDS)
    assert SqlApiKeys.get is api_key
    async with beside(sandboxed) as others:
        await others.connect()
        await watcher.events(1)
        with monkeypatch.context() as patch:
            patch.setattr(SqlEvents, "page", away)
            await others.connect()
            refusal = await watcher.refusal()
        assert (refusal.code, refusal.reason, refusal.retry_after) == (
            grpc.StatusCode.UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            1,
        )
        await Watcher(sandboxed, watcher.cursor).events(1)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "name"), [(SqlEvents, "page"), (SqlApiKeys, "get")])
async def test_the_text_of_an_exception_is_not_sent(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    """Any unexpected exception during a stream is INTERNAL."""
    watcher = await begun(sandboxed)

    async def broken(*_: object) -> Any:
        raise ValueError("a secret in an exception")

    async with beside(sandboxed) as others:
        await others.connect()
        monkeypatch.setattr(part, name, broken)
        refusal = await watcher.refusal()
    assert (refusal.code, refusal.reason, refusal.message) == (
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "internal error",
    )


@pytest.mark.slow
async def test_a_slow_reader_does_not_delay_others(sandboxed: Running) -> None:
    """Another reader gets all events in the meantime. The slow one gets them later, complete and in
    order."""
    async with beside(sandboxed) as others, narrow(sandboxed) as channel:
        slow = await begun(sandboxed, channel=channel)
        fast = await begun(sandboxed)
        await others.connect_many(MANY)
        await fast.events(MANY)
        started = monotonic()
        key = await others.connect()
        [event] = await fast.events(1)
        assert event.profile_key == key
        assert monotonic() - started < 5
        events = await slow.events(MANY + 1)
        assert events[-1] == event
        assert slow.cursor == fast.cursor


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


async def until(held: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not held():
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_thousand_streams_at_once(sandboxed: Running, calls: list[dict[str, Any]]) -> None:
    """Each gets the events, calls are answered at the same time, and nothing is left behind."""
    await sandboxed.refused("a.test", "p")  # the channel that stays is open from here on
    tasks, files = len(asyncio.all_tasks()), descriptors()
    async with beside(sandboxed) as others:
        async with AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(
                    grpc.aio.insecure_channel(
                        # a connection each: one carries no more than a thousand streams
                        sandboxed.address,
                        [("grpc.use_local_subchannel_pool", 1)],
                    )
                )
                for _ in range(10)
            ]
            watchers = [Watcher(sandboxed, channel=channels[i % 10]) for i in range(1000)]
            await asyncio.gather(*(watcher.message() for watcher in watchers))
            key = await others.connect()
            received = await asyncio.gather(*(watcher.events(1) for watcher in watchers))
            assert {event.profile_key for [event] in received} == {key}
            assert (await sandboxed.refused("a.test", "p")).reason == "INVALID_CREDENTIALS"
            for watcher in watchers:
                watcher.call.cancel()
        del watchers, received, channels, watcher
    gc.collect()
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: descriptors() <= files)
    assert [line["outcome"] for line in calls[2:]] == ["cancelled"] * 1000


async def until_stuck(reads: list[int]) -> None:
    """Wait until no more events are read for the client that reads nothing."""
    seen = -1
    while seen != len(reads):
        seen = len(reads)
        await asyncio.sleep(0.2)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the number at which each read of events starts."""
    noted: list[int] = []
    page = SqlEvents.page

    async def noting(self: SqlEvents, tenant_id: str, after: int, most: int) -> Any:
        noted.append(after)
        return await page(self, tenant_id, after, most)

    monkeypatch.setattr(SqlEvents, "page", noting)
    return noted


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_caller_that_goes_away_leaves_nothing_behind(
    sandboxed: Running, calls: list[dict[str, Any]], reads: list[int], how: str
) -> None:
    """Neither a waiting nor a blocked stream leaves a task. Each logs one line, and no error."""
    async with beside(sandboxed) as others:
        await others.connect_many(MANY)
        tasks = len(asyncio.all_tasks())
        async with narrow(sandboxed) as channel:
            waiting = await begun(sandboxed, channel=channel)
            stuck = await begun(sandboxed, from_oldest=True, channel=channel)
            await until_stuck(reads)
            assert max(reads) < MANY / 2
            assert not calls
            if how == "cancelled":
                waiting.call.cancel()
                stuck.call.cancel()
                await until(lambda: len(calls) == 2)
        await until(lambda: len(calls) == 2)
        del waiting, stuck
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
    for line in calls:
        assert (line["method"], line["outcome"]) == ("WatchConnections", "cancelled")
        assert line["tenant"] == sandboxed.tenant_id


@pytest.mark.slow
async def test_a_server_that_stops_ends_its_streams_at_once(
    sandbox: SandboxBluesky, database: Path, calls: list[dict[str, Any]]
) -> None:
    """UNAVAILABLE lets the caller resume at another server. A client that reads nothing does not
    delay it."""
    settings = {**sandbox.settings(), "DRAIN_SECONDS": "60"}
    async with AsyncExitStack() as stack:
        async with running(database, settings) as service:
            channel = await stack.enter_async_context(narrow(service))
            async with beside(service) as others:
                watcher = await begun(service, channel=channel)
                await others.connect_many(MANY)
                await watcher.events(MANY)
                stuck = await begun(service, from_oldest=True, channel=channel)
            started = monotonic()
        assert monotonic() - started < 10
        refusal = await watcher.refusal()
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
        )
        assert (await stuck.refusal()).code is grpc.StatusCode.UNAVAILABLE
        assert stuck.received < MANY / 2
        assert [(line["outcome"], line["why"]) for line in calls] == [
            ("SERVICE_UNAVAILABLE", "stopping")
        ] * 2
    async with running(database, settings) as service:
        stranger = Watcher(service, watcher.cursor)
        assert (await stranger.refusal()).reason == "INVALID_REQUEST"
