"""Health: verdicts, and what they are proved by, at the sandbox and the real server."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from postcore.profiles.v1 import profile_pb2
from service.model import SECOND
from tests.bluesky import CREATE
from tests.conformance.real import Real
from tests.conformance.sandbox import Sandbox
from tests.running import MovedClock, Running, running

HOUR = 3600 * SECOND
State = profile_pb2.ConnectionState
Reason = profile_pb2.ReconnectReason


@pytest.fixture(params=["sandbox", "real"])
async def bluesky(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox | Real]:
    """A Bluesky whose accounts can be put through anything."""
    if request.param == "real":
        yield Real(request.getfixturevalue("pds"))
        return
    async with Sandbox.open() as sandbox:
        yield sandbox


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def service(
    bluesky: Sandbox | Real, database: Path, clock: MovedClock
) -> AsyncIterator[Running]:
    # checks are asked for by the tests
    settings = {**bluesky.settings(), "CHECK_HOURS": "24"}
    async with running(database, settings, clock) as started:
        yield started


async def logins(bluesky: Sandbox | Real) -> int:
    return (await bluesky.counts()).get(CREATE, 0)


def told(connection: profile_pb2.Connection) -> tuple[str, bool, str]:
    """State, flag and reason, in short."""
    return (
        State.Name(connection.state).removeprefix("CONNECTION_STATE_"),
        connection.needs_reconnect,
        Reason.Name(connection.reconnect_reason).removeprefix("RECONNECT_REASON_")
        if connection.HasField("reconnect_reason")
        else "",
    )


HEALTHY = ("HEALTHY", False, "")


def broken(reason: str) -> tuple[str, bool, str]:
    return ("BROKEN", True, reason)


async def test_healthy(service: Running, bluesky: Sandbox | Real) -> None:
    """A refresh that works, of an account that lives where it did; no login is spent."""
    person = await bluesky.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    before = await logins(bluesky)
    connection = await service.verify(key)
    assert told(connection) == HEALTHY
    assert connection.last_verified_at.ToMicroseconds() > connection.connected_at.ToMicroseconds()
    assert await logins(bluesky) == before


async def test_a_revoked_app_password(service: Running, bluesky: Sandbox | Real) -> None:
    """One login proves it; the flag, the reason and the date are in the profile."""
    person = await bluesky.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    before = await logins(bluesky)
    await bluesky.revoke(person)
    assert told(await service.verify(key)) == broken("APP_PASSWORD_REVOKED")
    assert await logins(bluesky) == before + 1
    refusal = await service.lease_refused(key)
    assert refusal.reason == "NEEDS_RECONNECT"
    assert refusal.metadata["reconnectReason"] == "APP_PASSWORD_REVOKED"
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
