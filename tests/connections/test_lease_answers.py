"""Lease answers: an unavailable platform or an unexpected answer to a refresh proves nothing and
costs no login; the stored token is lent meanwhile."""

import asyncio
import sqlite3
import traceback
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from postcore.profiles.v1 import profile_pb2
from service.connections.backoff import Backoff
from service.domain.errors import (
    PlatformRateLimited,
    PlatformUnavailable,
    RateLimitExceeded,
    ServiceError,
)
from service.domain.model import Connection, ConnectionState, PlatformUnavailableCause
from service.domain.records import Envelope, SecretAddress, StoredConnection, Upkeep
from service.sandbox.faults import (
    AnotherDid,
    AnyStatus,
    ChangedAnswer,
    Fault,
    Hang,
    NotJson,
    OpaqueTokens,
    RateLimit,
    Redirect,
    Reset,
)
from service.storage import sqlite
from tests.support.bluesky import SandboxBluesky
from tests.support.leasing import MINUTE, Counted, end_session
from tests.support.running import MovedClock, Running, running

EXPIRING = 115 * MINUTE
ENDING = 119 * MINUTE + MINUTE // 2
"""Advances the clock so that a token of two hours expires in half a minute."""


@pytest.fixture
async def service(
    sandbox: SandboxBluesky, database: Path, clock: MovedClock
) -> AsyncIterator[Running]:
    async with running(database, {**sandbox.settings(), "CHECK_HOURS": "24"}, clock) as started:
        yield started


@pytest.fixture
async def key(service: Running, sandbox: SandboxBluesky) -> str:
    person = await sandbox.person()
    return (await service.connect(person.handle, person.app_password)).profile_key


@pytest.fixture
async def spent(sandbox: SandboxBluesky, key: str) -> Counted:
    return await Counted.at(sandbox)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry failed calls without a backoff."""
    monkeypatch.setattr("service.connections.backoff.MIN_WAIT_SECONDS", 0)


FAULTS: dict[str, tuple[Fault, str]] = {
    "500": (AnyStatus(500), "PLATFORM_UNAVAILABLE"),
    "503": (AnyStatus(503), "PLATFORM_UNAVAILABLE"),
    "404": (AnyStatus(404), "PLATFORM_UNAVAILABLE"),
    "no JSON": (NotJson(), "PLATFORM_UNAVAILABLE"),
    "a redirect": (Redirect("http://127.0.0.1:9/"), "PLATFORM_UNAVAILABLE"),
    "nothing": (Reset(), "PLATFORM_UNAVAILABLE"),
    "another DID": (AnotherDid(), "PLATFORM_UNAVAILABLE"),
    "too many": (RateLimit(), "PLATFORM_RATE_LIMITED"),
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_refresh_that_fails_proves_nothing(
    service: Running,
    sandbox: SandboxBluesky,
    clock: MovedClock,
    key: str,
    spent: Counted,
    no_pause: None,
    fault: Fault,
    reason: str,
) -> None:
    """A token is lent until its last minute, but never after a refusal; then the lease is refused
    with the reason. It costs no login and no verdict, and leases work again afterwards."""
    stored = service.session()
    sandbox.server.breakages.add(fault, method="refreshSession")
    clock.ahead = EXPIRING
    assert (await service.lease(key)).access_token == stored.access_token
    refusal = await service.lease_refused(key, rejected=stored.access_token)
    assert refusal.reason == reason
    clock.ahead = ENDING
    assert (await service.lease_refused(key)).reason == reason
    logins, refreshes = await spent()
    assert logins == 0
    assert refreshes >= 1
    assert service.session() == stored
    assert service.rows("SELECT reconnect_reason FROM connections") == [{"reconnect_reason": None}]
    if reason == "PLATFORM_RATE_LIMITED":
        assert refreshes == 1  # until the reset time of the platform's limit
        return
    sandbox.server.breakages.clear()
    assert (await service.lease(key)).access_token == service.session().access_token
    assert service.session() != stored
    assert (await spent())[0] == 0


@pytest.mark.slow
async def test_a_hanging_refresh_respects_the_callers_deadline(
    service: Running, sandbox: SandboxBluesky, clock: MovedClock, key: str, spent: Counted
) -> None:
    """The lease returns the stored token in time, or DEADLINE_EXCEEDED. All callers wait for one
    refresh and get its session when it ends."""
    stored = service.session()
    hang = sandbox.server.breakages.add(Hang(), method="refreshSession", calls=1)
    clock.ahead = EXPIRING
    begun = monotonic()
    assert (await service.lease(key, timeout=2.5)).access_token == stored.access_token
    refusal = await service.lease_refused(key, rejected=stored.access_token, timeout=1)
    assert refusal.reason == "DEADLINE_EXCEEDED"
    assert monotonic() - begun < 8
    assert await spent() == (0, 1)
    lease = asyncio.create_task(service.lease(key, timeout=30))
    hang.mend()
    assert (await lease).access_token == service.session().access_token
    assert service.session() != stored
    assert await spent() == (0, 1)


async def test_refreshes_during_an_outage_back_off(
    service: Running, sandbox: SandboxBluesky, clock: MovedClock, key: str, spent: Counted
) -> None:
    """One refresh is tried in five seconds, independent of the number of leases; their errors have
    a retry time."""
    sandbox.server.breakages.add(AnyStatus(500), method="refreshSession")
    clock.ahead = ENDING
    refusals = [await service.lease_refused(key) for _ in range(5)]
    assert {refusal.reason for refusal in refusals} == {"PLATFORM_UNAVAILABLE"}
    assert refusals[0].retry_after == 30
    assert all(refusal.retry_after and refusal.retry_after <= 5 for refusal in refusals[1:])
    assert await spent() == (0, 1)


def test_an_outage_does_not_use_up_the_logins_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts back off under constant leases: at most 25 in the first hour, half of a day's
    logins. A new session resets the backoff."""
    now = 0.0
    monkeypatch.setattr("service.connections.backoff.monotonic", lambda: now)
    failures = Backoff()
    tries, through = 0, set()
    while now < 3600:
        try:
            failures.check(stored("one"))
        except PlatformUnavailable as error:
            through.add(len(list(traceback.walk_tb(error.__traceback__))))
        else:
            tries += 1
            failures.note(
                stored("one"),
                stored("one"),
                PlatformUnavailable(PlatformUnavailableCause.SERVER_ERROR, "status_500"),
            )
        now += 1
    assert 10 <= tries <= 25
    assert through == {2}  # the error keeps no traceback of earlier callers
    failures.check(stored("another"))
    failures.clear(stored("one"))
    failures.check(stored("one"))


def stored(session: str) -> StoredConnection:
    """Return a connection with that session."""
    address = SecretAddress("ten_a", "prof_a", "bluesky", "did:plc:a", "https://a.example", 1)
    connection = Connection(
        "bluesky", "did:plc:a", "a.example", "a.example", ConnectionState.HEALTHY, None, 0, 0, None
    )
    sealed = Envelope("seal-1", session.encode())
    return StoredConnection(address, connection, sealed, sealed, 0, 1, Upkeep())


async def test_opaque_tokens_expire_after_half_an_hour(
    service: Running, sandbox: SandboxBluesky, clock: MovedClock, key: str, spent: Counted
) -> None:
    """They are refreshed ten minutes before that."""
    sandbox.server.breakages.add(OpaqueTokens())
    clock.ahead = EXPIRING
    lease = await service.lease(key)
    left = lease.expires_at.ToMicroseconds() - clock.now()
    assert 29 * MINUTE < left <= 30 * MINUTE
    clock.ahead += 19 * MINUTE
    assert (await service.lease(key)).access_token == lease.access_token
    assert await spent() == (0, 1)
    clock.ahead += 2 * MINUTE
    await service.lease(key)
    assert await spent() == (0, 2)


async def test_a_rejected_login_without_proof_breaks_nothing(
    service: Running, sandbox: SandboxBluesky, clock: MovedClock, key: str, spent: Counted
) -> None:
    """The server answers 401, and its account status is unavailable: the connection is
    UNVERIFIED."""
    await end_session(sandbox, service.session())
    sandbox.server.breakages.add(AnyStatus(401), method="createSession")
    sandbox.server.breakages.add(AnyStatus(500), method="getRepoStatus")
    clock.ahead = ENDING
    refusal = await service.lease_refused(key)
    assert refusal.reason == "PLATFORM_UNAVAILABLE"
    assert service.rows("SELECT state, reconnect_reason FROM connections") == [
        {"state": "UNVERIFIED", "reconnect_reason": None}
    ]
    logins, _ = await spent()
    assert logins <= 1


@dataclass
class Inactive(ChangedAnswer):
    """A login that succeeds but says that the account is inactive."""

    name = "inactive"

    def changed(self, value: dict[str, Any]) -> dict[str, Any]:
        return value | {"active": False, "status": "suspended"}


@pytest.mark.usefixtures("no_pause")
async def test_an_account_that_only_its_login_calls_inactive_costs_one_login(
    service: Running, sandbox: SandboxBluesky, clock: MovedClock, key: str, spent: Counted
) -> None:
    """If getRepoStatus disagrees, the lease gets ACCOUNT_INACTIVE, and leases and checks make no
    login for an hour. The connection is not BROKEN, and both succeed once the login does."""
    await end_session(sandbox, service.session())
    sandbox.server.breakages.add(Inactive(), method="createSession")
    clock.ahead = ENDING
    refusal = await service.lease_refused(key)
    assert (refusal.reason, refusal.metadata["status"]) == ("ACCOUNT_INACTIVE", "suspended")
    again = await service.lease_refused(key)
    assert again.reason == "RATE_LIMIT_EXCEEDED"
    assert again.retry_after is not None
    assert 3500 < again.retry_after <= 3600
    clock.ahead += 30 * MINUTE
    await service.verify(key)
    assert (await spent())[0] == 1
    assert service.rows("SELECT state, reconnect_reason FROM connections") == [
        {"state": "UNVERIFIED", "reconnect_reason": None}
    ]
    sandbox.server.breakages.clear()
    clock.ahead += 31 * MINUTE
    assert (await service.verify(key)).state == profile_pb2.CONNECTION_STATE_HEALTHY
    clock.ahead = 0
    assert (await service.lease(key)).access_token == service.session().access_token
    assert (await spent())[0] == 2


@pytest.mark.slow
async def test_a_store_that_rejects_writes(
    sandbox: SandboxBluesky, database: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored token is lent; without a claim, no refresh is made."""
    *pragmas, _ = sqlite._WRITER
    monkeypatch.setattr(sqlite, "_WRITER", (*pragmas, "PRAGMA busy_timeout = 1000"))
    async with running(database, {**sandbox.settings(), "CHECK_HOURS": "24"}, clock) as service:
        person = await sandbox.person()
        key = (await service.connect(person.handle, person.app_password)).profile_key
        token = (await service.lease(key)).access_token
        spent = await Counted.at(sandbox)
        other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        with closing(other):
            # in a thread: the lock may be held by a write that needs this event loop
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            clock.ahead = EXPIRING
            assert (await service.lease(key)).access_token == token
            clock.ahead = ENDING
            assert (await service.lease_refused(key)).reason == "SERVICE_UNAVAILABLE"
            other.execute("ROLLBACK")
        assert await spent() == (0, 0)
        await service.lease(key)
        assert await spent() == (0, 1)


@pytest.mark.parametrize(
    "error",
    [
        PlatformUnavailable(PlatformUnavailableCause.SERVER_ERROR, "status_500", http_status=500),
        PlatformRateLimited("bluesky", "Bluesky", 30),
        RateLimitExceeded(30),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_remembered_error_is_raised_with_the_remaining_time(error: ServiceError) -> None:
    """Message and metadata are the same, and the first error is not changed."""
    backoff = Backoff()
    backoff.note(stored("one"), stored("one"), error)
    with pytest.raises(type(error)) as caught:
        backoff.check(stored("one"))
    again = caught.value
    assert again is not error
    assert (again.retry_after or 0) < (error.retry_after or 0) == 30
    assert {**vars(again), "retry_after": 30} == vars(error)
