"""Overtaken: answers that arrive after their connection changed, and simultaneous calls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import SECOND
from service.sandbox.breakages import Breakage
from service.sandbox.faults import Hang
from service.sandbox.server import SandboxServer
from service.sandbox.world import World
from tests.support.bluesky import CREATE, SESSION, Person, SandboxBluesky, is_live
from tests.support.running import PATIENT, MovedClock, Running, refusal_of, running

HOUR = 3600 * SECOND
ENOUGH_SECONDS = 20
REFRESH = f"{SESSION}refreshSession"


@pytest.fixture
async def sandbox(clock: MovedClock) -> AsyncIterator[SandboxBluesky]:
    """A sandbox that uses the service's clock."""
    server = SandboxServer(World(now=lambda: clock.now() / SECOND))
    await server.start()
    yield SandboxBluesky(server)
    await server.stop()


@pytest.fixture
async def service(
    sandbox: SandboxBluesky, database: Path, clock: MovedClock
) -> AsyncIterator[Running]:
    settings = {**sandbox.settings(), "CHECK_HOURS": "24"}
    async with running(database, settings, clock, PATIENT) as started:
        yield started


@pytest.fixture
async def person(sandbox: SandboxBluesky) -> Person:
    return await sandbox.person()


@pytest.fixture
async def key(service: Running, person: Person) -> str:
    return (await service.connect(person.handle, person.app_password)).profile_key


@asynccontextmanager
async def held_up(sandbox: SandboxBluesky, method: str) -> AsyncIterator[Breakage]:
    """Hold the next answer to *method* until the end of the block."""
    breakage = sandbox.server.breakages.add(Hang(), method=method, calls=1)
    try:
        yield breakage
    finally:
        breakage.mend()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENOUGH_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def reconnect(service: Running, sandbox: SandboxBluesky, person: Person, key: str) -> None:
    """Reconnect with another app password."""
    password = sandbox.world.add_app_password(person.did, "another")
    await service.connect(person.handle, password, profile_key=key)


async def disconnect(service: Running, _: SandboxBluesky, __: Person, key: str) -> None:
    await service.profiles.DisconnectPlatform(
        pb.DisconnectPlatformRequest(profile_key=key, platform="bluesky"),
        metadata=service.metadata(),
    )


async def delete(service: Running, _: SandboxBluesky, __: Person, key: str) -> None:
    await service.profiles.DeleteProfile(
        pb.DeleteProfileRequest(profile_key=key), metadata=service.metadata()
    )


Act = Callable[[Running, SandboxBluesky, Person, str], Awaitable[None]]
ACTS: dict[str, tuple[Act, str | None]] = {
    "reconnected": (reconnect, None),
    "disconnected": (disconnect, "PLATFORM_NOT_CONNECTED"),
    "deleted": (delete, "PROFILE_NOT_FOUND"),
}


async def outcome(call: Awaitable[object]) -> str | None:
    """Return the error reason of *call*, or None if it succeeds."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason
    return None


def contents(service: Running) -> list[tuple[object, ...]]:
    """Return all rows of connections with their secrets, and all events."""
    connections = service.rows(
        "SELECT c.*, s.envelope AS session, r.envelope AS credential FROM connections c"
        " JOIN sessions s USING (tenant_id, profile_key, platform)"
        " JOIN credentials r USING (tenant_id, profile_key, platform)"
    )
    events = service.rows("SELECT * FROM events ORDER BY number")
    return [tuple(row.values()) for row in (*connections, *events)]


@pytest.mark.parametrize("method", ["refreshSession", "createSession", "getRepoStatus"])
@pytest.mark.parametrize("act", ACTS)
async def test_a_late_verdict_is_discarded(
    service: Running,
    sandbox: SandboxBluesky,
    person: Person,
    key: str,
    method: str,
    act: str,
) -> None:
    """The password was revoked, and the connection is replaced or ended just before a check proves
    it. No verdict, event or session of the check is stored."""
    await sandbox.revoke(person)
    do, reason = ACTS[act]
    async with held_up(sandbox, method) as held:
        verdict = asyncio.create_task(outcome(service.verify(key)))
        await until(lambda: held.held_up == 1)
        await do(service, sandbox, person, key)
        before = contents(service)
    assert await verdict == reason
    assert contents(service) == before
    assert not service.rows("SELECT 1 FROM connections WHERE reconnect_reason IS NOT NULL")


@pytest.mark.parametrize("method", ["refreshSession", "createSession"])
@pytest.mark.parametrize("act", ACTS)
async def test_a_late_session_is_ended(
    service: Running,
    sandbox: SandboxBluesky,
    person: Person,
    key: str,
    method: str,
    act: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A login or a refresh that succeeds too late leaves no open session that is not stored."""
    opened: list[str] = []
    of_world = sandbox.world.sessions
    make = of_world._tokens

    def note(did: str, scope: str, token_id: str) -> object:
        tokens = make(did, scope, token_id)
        opened.append(tokens.refresh)
        return tokens

    monkeypatch.setattr(of_world, "_tokens", note)
    if method == "createSession":
        # ends every session; the app password is still valid
        sandbox.world.change_password(person.did, "another main password")
    do, reason = ACTS[act]
    async with held_up(sandbox, method) as held:
        verdict = asyncio.create_task(outcome(service.verify(key)))
        await until(lambda: held.held_up == 1)
        await do(service, sandbox, person, key)
        kept = {service.session(key).refresh_token} if act == "reconnected" else set()
    assert await verdict == reason
    assert len(set(opened) - kept) == 1
    for token in set(opened) - kept:
        async with asyncio.timeout(ENOUGH_SECONDS):
            while await is_live(sandbox.origin, token):
                await asyncio.sleep(0.01)
    for token in kept:
        assert await is_live(sandbox.origin, token)


@pytest.mark.parametrize("method", ["refreshSession", "createSession", "getRepoStatus"])
@pytest.mark.parametrize("act", ACTS)
async def test_a_late_lease_lends_no_ended_session(
    service: Running,
    sandbox: SandboxBluesky,
    person: Person,
    key: str,
    clock: MovedClock,
    method: str,
    act: str,
) -> None:
    """If the connection changes during the renewal, the lease returns the session of the current
    connection, or fails if there is none."""
    if method != "refreshSession":
        sandbox.world.change_password(person.did, "another main password")
    clock.ahead += 2 * HOUR
    do, reason = ACTS[act]
    async with held_up(sandbox, method) as held:
        lease = asyncio.create_task(service.lease(key, timeout=ENOUGH_SECONDS))
        await until(lambda: held.held_up == 1)
        await do(service, sandbox, person, key)
    if reason is None:
        assert (await lease).access_token == service.session(key).access_token
    else:
        assert await outcome(lease) == reason
        assert await outcome(service.lease(key)) == reason


async def test_simultaneous_calls_of_a_connection(
    service: Running, sandbox: SandboxBluesky, person: Person, key: str, clock: MovedClock
) -> None:
    """Verdicts, leases and a connect act as if they ran in sequence: the connection is healthy, its
    session is valid, and an overtaken call has spent at most one login."""
    for turn in range(5):
        clock.ahead += 2 * HOUR
        logins, refreshes = sandbox.logins, sandbox.server.counts[REFRESH]
        calls = [
            *(outcome(service.verify(key)) for _ in range(8)),
            *(outcome(service.lease(key, timeout=ENOUGH_SECONDS)) for _ in range(8)),
            outcome(service.connect(person.handle, person.app_password, profile_key=key)),
        ]
        if turn % 2:
            calls.reverse()
        reasons = await asyncio.gather(*calls)
        assert set(reasons) == {None}
        assert logins + 1 <= sandbox.logins <= logins + 2
        assert sandbox.server.counts[REFRESH] <= refreshes + 3
        lent = await service.lease(key)
        assert lent.access_token == service.session(key).access_token
        assert await is_live(sandbox.origin, service.session(key).refresh_token)
    kinds = {row["kind"] for row in service.rows("SELECT kind FROM events")}
    assert kinds == {"CONNECTED", "RECONNECTED"}
    [profile] = service.rows("SELECT state, reconnect_reason FROM connections")
    assert profile == {"state": "HEALTHY", "reconnect_reason": None}


async def test_simultaneous_calls_of_a_revoked_connection(
    service: Running, sandbox: SandboxBluesky, person: Person, key: str, clock: MovedClock
) -> None:
    """One login proves the revocation for all callers; none gets a session."""
    await sandbox.revoke(person)
    clock.ahead += 2 * HOUR
    before = sandbox.server.counts[CREATE]
    leases = [outcome(service.lease(key, timeout=ENOUGH_SECONDS)) for _ in range(8)]
    verdicts = [outcome(service.verify(key)) for _ in range(8)]
    reasons = await asyncio.gather(*verdicts, *leases)
    assert set(reasons[8:]) == {"NEEDS_RECONNECT"}
    assert set(reasons[:8]) == {None}
    assert sandbox.server.counts[CREATE] == before + 1
    assert [row["kind"] for row in service.rows("SELECT kind FROM events ORDER BY number")] == [
        "CONNECTED",
        "BROKEN",
    ]
