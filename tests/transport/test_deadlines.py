"""Deadlines: the caller's own is DEADLINE_EXCEEDED in any state; a limit of the service that ends a
wait for a platform is PLATFORM_UNAVAILABLE."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.connections.timeouts import TIMEOUTS
from service.sandbox.faults import Hang
from service.transport import boundary
from service.transport.grpc import methods as grpc_methods
from tests.support.bluesky import CREATE, SandboxBluesky
from tests.support.leasing import end_session
from tests.support.running import Refusal, Running, refusal_of, running

TIMEOUT_SECONDS = 0.6
LONG = 30.0
STAGES = ["resolveHandle", "plc", "createSession"]
DEADLINE = (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "PLATFORM_UNAVAILABLE")


@pytest.fixture
def service(sandboxed: Running) -> Running:
    return sandboxed


async def refused_by_verify(service: Running, key: str, seconds: float) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.profiles.VerifyConnection(
            pb.VerifyConnectionRequest(profile_key=key, platform="bluesky"),
            metadata=service.metadata(),
            timeout=seconds,
        )
    return refusal_of(caught.value)


@pytest.mark.parametrize("stage", STAGES)
async def test_the_callers_own_deadline_ends_a_connect(
    service: Running, sandbox: SandboxBluesky, stage: str
) -> None:
    """At each stage the status has its reason, since it is sent in time, and no RetryInfo."""
    person = await sandbox.person()
    sandbox.server.breakages.add(Hang(), method=stage)
    refusal = await service.refused(person.handle, person.app_password, timeout=TIMEOUT_SECONDS)
    assert (refusal.code, refusal.reason) == DEADLINE
    assert refusal.retry_after is None
    assert "grpc-retry-pushback-ms" not in refusal.trailers


@pytest.mark.parametrize("stage", STAGES)
async def test_the_services_limit_ends_a_connect(
    sandbox: SandboxBluesky, database: Path, stage: str
) -> None:
    """The caller's own deadline is later."""
    person = await sandbox.person()
    sandbox.server.breakages.add(Hang(), method=stage)
    hurried = replace(TIMEOUTS, connect=TIMEOUT_SECONDS)
    async with running(database, sandbox.settings(), timeouts=hurried) as service:
        refusal = await service.refused(person.handle, person.app_password, timeout=LONG)
    assert (refusal.code, refusal.reason) == UNAVAILABLE
    assert refusal.retry_after == 30
    assert refusal.trailers["grpc-retry-pushback-ms"] == "-1"


async def test_the_default_deadline_is_the_services(
    service: Running, sandbox: SandboxBluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds for gRPC without a deadline, and for HTTP, which has none."""
    for module in (boundary, grpc_methods):
        monkeypatch.setattr(module, "DEFAULT_SECONDS", TIMEOUT_SECONDS, raising=False)
    _, *others = boundary.Call.__init__.__defaults__ or ()
    monkeypatch.setattr(boundary.Call.__init__, "__defaults__", (TIMEOUT_SECONDS, *others))
    person = await sandbox.person()
    sandbox.server.breakages.add(Hang(), method="createSession")
    refusal = await service.refused(person.handle, person.app_password, timeout=None)
    assert (refusal.code, refusal.reason) == UNAVAILABLE
    async with httpx.AsyncClient(trust_env=False, timeout=LONG) as client:
        answer = await client.post(
            f"http://{service.http}/profiles/connect",
            headers={"x-api-key": service.api_key},
            json={
                "platform": "bluesky",
                "credentials": {"handle": person.handle, "appPassword": person.app_password},
            },
        )
    assert (answer.status_code, answer.json()["error"]) == (503, "PLATFORM_UNAVAILABLE")


async def test_a_connect_that_times_out_leaves_nothing_behind(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """Its idempotency key is free again, and a retry connects."""
    person = await sandbox.person()
    hang = sandbox.server.breakages.add(Hang(), method="createSession")
    refusal = await service.refused(
        person.handle, person.app_password, idempotency_key="once", timeout=TIMEOUT_SECONDS
    )
    assert refusal.reason == "DEADLINE_EXCEEDED"
    hang.mend()
    sandbox.server.breakages.clear()
    await service.connect(person.handle, person.app_password, idempotency_key="once")
    assert len(service.rows("SELECT * FROM connections")) == 1


@pytest.mark.slow
async def test_the_callers_own_deadline_ends_a_check(
    sandbox: SandboxBluesky, database: Path
) -> None:
    """If the service's limit ends the check, its result is that the state is unknown."""
    person = await sandbox.person()
    hurried = replace(TIMEOUTS, check=3 * TIMEOUT_SECONDS)
    async with running(database, sandbox.settings(), timeouts=hurried) as service:
        key = (await service.connect(person.handle, person.app_password)).profile_key
        hang = sandbox.server.breakages.add(Hang(), method="refreshSession")
        refusal = await refused_by_verify(service, key, TIMEOUT_SECONDS)
        assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED
        hang.mend()
        async with asyncio.timeout(LONG):
            while service.rows("SELECT checked_at FROM connections") == [{"checked_at": None}]:
                await asyncio.sleep(0.02)
        await service.execute("UPDATE connections SET checked_at = NULL")
        sandbox.server.breakages.add(Hang(), method="refreshSession")
        assert (await service.verify(key)).state


@pytest.mark.parametrize("call", ["connect", "verify", "lease"])
async def test_a_millisecond_has_one_outcome(
    service: Running, sandbox: SandboxBluesky, call: str
) -> None:
    """A hundred calls that need the platform all end in DEADLINE_EXCEEDED."""
    person = await sandbox.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    await end_session(sandbox, service.session(key))
    hang = sandbox.server.breakages.add(Hang())
    stored = service.session(key)
    await service.lease(key)  # makes the key to lease with
    # a token this new would be leased again, although it was rejected
    await service.execute("UPDATE sessions SET refreshed_at = refreshed_at - 120000000")
    codes = set()
    for number in range(100):
        match call:
            case "connect":
                refusal = await service.refused(person.handle, person.app_password, timeout=0.001)
            case "verify":
                await service.execute("UPDATE connections SET checked_at = NULL")
                refusal = await refused_by_verify(service, key, 0.001 + number / 20_000)
            case _:
                refusal = await service.lease_refused(
                    key, rejected=stored.access_token, timeout=0.001 + number / 20_000
                )
        codes.add(refusal.code)
    assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
    hang.mend()
    sandbox.server.breakages.clear()
    assert (await sandbox.counts()).get(CREATE, 0) <= 7
