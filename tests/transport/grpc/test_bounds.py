"""Limits of calls with a valid key: by tenant, in total, by time, and until a revocation."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import grpc.aio
import pytest

from service.connections.logins import Logins
from service.domain.model import ApiKey, Scope
from service.sandbox.faults import Hang
from service.transport.admission import MAX_TENANT_CALLS_WITH_RESERVE, CallSlots
from service.transport.deadline import Deadline
from tests.support.bluesky import SESSION, SandboxBluesky
from tests.support.running import Running, refusal_of, running

CREATE = "/postcore.profiles.v1.ProfileService/CreateProfile"
GET = "/postcore.profiles.v1.ProfileService/GetProfile"
SECONDS = 20.0


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many calls have found a place, by the id of their key."""
    found: Counter[str] = Counter()
    acquire = CallSlots.acquire

    def noted(slots: CallSlots, key: ApiKey, deadline: Deadline) -> None:
        acquire(slots, key, deadline)
        found[key.key_id] += 1

    monkeypatch.setattr(CallSlots, "acquire", noted)
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def silent(service: Running, method: str, api_key: str = "") -> Any:
    """Start a call whose message never arrives."""
    raw: Any = service.channel.stream_unary(method)
    return raw(metadata=service.metadata(api_key or None), timeout=SECONDS)


async def admitted(service: Running, api_key: str = "") -> bool:
    """Return whether a call of the key gets a slot."""
    raw: Any = service.channel.unary_unary(GET)
    code = await raw(b"", metadata=service.metadata(api_key or None), timeout=SECONDS).code()
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
    return code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_tenant_has_limited_concurrent_calls(
    sandbox: SandboxBluesky, database: Path, places: Counter[str]
) -> None:
    """More get RATE_LIMIT_EXCEEDED, while calls of another tenant succeed. A call that ends frees a
    slot."""
    limits = {"CONCURRENT_CALLS_PER_TENANT": "5", "MAX_CONCURRENT_CALLS": "100"}
    async with running(database, {**sandbox.settings(), **limits}) as service:
        other, _ = await service.new_key(tenant_id=await service.new_tenant())
        held = [silent(service, GET) for _ in range(5)]
        await until(lambda: places.total() == 5)
        raw: Any = service.channel.unary_unary(GET)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(b"", metadata=service.metadata(), timeout=SECONDS)
        refusal = refusal_of(caught.value)
        assert (refusal.reason, refusal.retry_after) == ("RATE_LIMIT_EXCEEDED", 1)
        assert await admitted(service, other)
        held[0].cancel()
        async with asyncio.timeout(SECONDS):
            while not await admitted(service):
                await asyncio.sleep(0.01)
        for call in held:
            call.cancel()


async def test_small_tenants_use_the_reserve(
    sandbox: SandboxBluesky, database: Path, places: Counter[str]
) -> None:
    """One tenant holds all slots: another gets MAX_TENANT_CALLS_WITH_RESERVE calls at most."""
    limits = {"CONCURRENT_CALLS_PER_TENANT": "100", "MAX_CONCURRENT_CALLS": "40"}
    async with running(database, {**sandbox.settings(), **limits}) as service:
        other, other_id = await service.new_key(tenant_id=await service.new_tenant())
        held = [silent(service, GET) for _ in range(60)]
        await until(lambda: sum(call.done() for call in held) >= 20)
        assert (places.total(), sum(call.done() for call in held)) == (40, 20)
        assert not await admitted(service)
        held += [silent(service, GET, other) for _ in range(MAX_TENANT_CALLS_WITH_RESERVE - 1)]
        await until(lambda: places[other_id] == MAX_TENANT_CALLS_WITH_RESERVE - 1)
        assert await admitted(service, other)
        held.append(silent(service, GET, other))
        await until(lambda: places[other_id] == MAX_TENANT_CALLS_WITH_RESERVE + 1)
        assert not await admitted(service, other)
        for call in held:
            call.cancel()


async def test_a_message_has_a_time_limit(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is late, or missing at the end of the stream, is INVALID_REQUEST."""
    monkeypatch.setattr("service.transport.grpc.messages.MESSAGE_SECONDS", 0.2)
    for method in (GET, CREATE, "/postcore.profiles.v1.ProfileService/WatchConnections"):
        late = silent(sandboxed, method)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await late
        assert refusal_of(caught.value).reason == "INVALID_REQUEST"
        ended = silent(sandboxed, method)
        await ended.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ended
        assert refusal_of(caught.value).reason == "INVALID_REQUEST"
    assert sandboxed.rows("SELECT * FROM profiles") == []


async def test_a_message_that_is_too_long_has_no_effect(sandboxed: Running) -> None:
    """grpc rejects it; it is not read as an empty message."""
    raw: Any = sandboxed.channel.unary_unary(CREATE)
    call = raw(b"\x0a" + bytes(70_000), metadata=sandboxed.metadata(), timeout=SECONDS)
    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert sandboxed.rows("SELECT * FROM profiles") == []


async def test_a_call_lasts_a_minute_at_most(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds for any deadline of the caller."""
    monkeypatch.setattr("service.transport.grpc.methods.MAX_SECONDS", 0.3)

    async def hang(*_: object) -> object:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("service.profiles.profiles.Profiles.get", hang)
    raw: Any = sandboxed.channel.unary_unary(GET)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw(b"", metadata=sandboxed.metadata(), timeout=3600)
    assert refusal_of(caught.value).reason == "DEADLINE_EXCEEDED"


async def test_repeats_of_an_idempotency_key_use_their_tenants_slots(
    sandbox: SandboxBluesky, database: Path
) -> None:
    """A thousand of them do not affect another tenant's calls, and mostly read instead of write."""
    limits = {"CONCURRENT_CALLS_PER_TENANT": "20"}
    async with running(database, {**sandbox.settings(), **limits}) as service:
        other, _ = await service.new_key(tenant_id=await service.new_tenant())
        person = await sandbox.person()
        sandbox.server.breakages.add(Hang())
        calls = [
            asyncio.create_task(
                service.connect(
                    person.handle, person.app_password, idempotency_key="k", timeout=SECONDS
                )
            )
            for _ in range(300)
        ]
        await until(lambda: sum(call.done() for call in calls) >= 280)
        raw: Any = service.channel.unary_unary(CREATE)
        began = monotonic()
        for _ in range(20):
            assert await raw(b"", metadata=service.metadata(other), timeout=SECONDS) is not None
        assert monotonic() - began < SECONDS / 4
        sandbox.server.breakages.clear()
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        refused = [one for one in ended if isinstance(one, grpc.aio.AioRpcError)]
        assert sum(one.code() is grpc.StatusCode.RESOURCE_EXHAUSTED for one in refused) >= 280


@pytest.mark.slow
async def test_a_revoked_key_ends_its_calls(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """They end within 5 s, and nothing is stored, by the connect in progress or by later calls."""
    person = await sandbox.person()
    key, key_id = await sandboxed.new_key(Scope.PROFILES_WRITE)
    sandbox.server.breakages.add(Hang())
    calls = [
        asyncio.create_task(
            sandboxed.refused(
                person.handle,
                person.app_password,
                idempotency_key="k",
                api_key=key,
                timeout=60,
            )
        )
        for _ in range(10)
    ]
    await asyncio.sleep(0.5)
    began = monotonic()
    await sandboxed.revoke_key(key_id)
    refusals = await asyncio.gather(*calls)
    assert monotonic() - began < 5
    assert {refusal.reason for refusal in refusals} == {"INVALID_API_KEY"}
    sandbox.server.breakages.clear()
    await asyncio.sleep(1)
    assert sandboxed.rows("SELECT * FROM profiles") == []
    assert sandboxed.rows("SELECT * FROM connections") == []


async def test_a_login_is_not_stored_after_its_key_is_revoked(
    sandboxed: Running, sandbox: SandboxBluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is ended at the platform's server."""
    person = await sandbox.person()
    key, key_id = await sandboxed.new_key(Scope.PROFILES_WRITE)
    monkeypatch.setattr("service.connections.connect.MAX_KEY_AGE_SECONDS", 0.0)
    note_pause = Logins.note_pause

    async def revoking(self: Logins, *arguments: Any) -> None:
        await sandboxed.revoke_key(key_id)
        await note_pause(self, *arguments)

    monkeypatch.setattr(Logins, "note_pause", revoking)
    refusal = await sandboxed.refused(person.handle, person.app_password, api_key=key)
    assert refusal.reason == "INVALID_API_KEY"
    assert sandboxed.rows("SELECT * FROM connections") == []
    async with asyncio.timeout(SECONDS):
        while (await sandbox.counts()).get(f"{SESSION}deleteSession", 0) < 1:
            await asyncio.sleep(0.02)
