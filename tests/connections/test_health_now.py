"""Verify checks now: when callers share a check, when a new one is made, and its maximum cost."""

import asyncio
from pathlib import Path
from time import monotonic

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_pb2
from service.domain.model import SECOND, Caller, Scope
from service.sandbox.faults import AnyStatus, Hang, RateLimit
from tests.conformance.sandbox import Sandbox
from tests.connections import health_support as shared
from tests.connections.health_support import (
    HEALTHY,
    HOUR,
    REFRESH,
    UNVERIFIED,
    Watched,
    breakages,
    broken,
    status_of,
)
from tests.support.bluesky import CREATE
from tests.support.node import nodes
from tests.support.running import MovedClock, refusal_of, running

MINUTE = HOUR // 60
PRESSED_AGAIN = 3 * SECOND
where, engine, bluesky = shared.where, shared.engine, shared.bluesky
service, watched, sandboxed = shared.service, shared.watched, shared.sandboxed


timeouts = shared.timeouts


async def refreshes(watched: Watched) -> int:
    return (await watched.bluesky.counts()).get(REFRESH, 0)


def next_check(watched: Watched, connection: profile_pb2.Connection) -> int:
    """Return the microseconds until the next check that the reply names."""
    return connection.next_check_at.ToMicroseconds() - watched.clock.now()


async def press(
    watched: Watched, times: int, every: int = PRESSED_AGAIN
) -> list[profile_pb2.Connection]:
    """Return the answers of *times* verifies in a row."""
    answers = []
    for _ in range(times):
        watched.clock.ahead += every
        answers.append(await watched.service.verify(watched.key))
    return answers


async def test_calls_that_overlap_or_follow_within_two_seconds_share_a_check(
    watched: Watched,
) -> None:
    """Fifty concurrent calls and fifty right after them cost one refresh; each later call makes a
    new check."""
    before = await refreshes(watched)
    await asyncio.gather(*(watched.service.verify(watched.key) for _ in range(50)))
    checked_at = watched.row["checked_at"]
    for _ in range(50):
        await watched.service.verify(watched.key)
    assert watched.clock.now() - checked_at < 2 * SECOND
    assert await refreshes(watched) == before + 1
    for turn in range(3):
        assert await watched.verdict(PRESSED_AGAIN) == HEALTHY
        assert await refreshes(watched) == before + 2 + turn


async def lifted(watched: Watched, closed: str, opened: str, reason: str, spent: int) -> None:
    """Close, open and close the account again, and verify it after each step."""
    await getattr(watched.bluesky, closed)(watched.person)
    assert await watched.verdict(0) == broken(reason)
    await getattr(watched.bluesky, opened)(watched.person)
    assert await watched.verdict(PRESSED_AGAIN) == HEALTHY
    assert (await watched.spent(), watched.events()) == (spent, ["BROKEN", "RECOVERED"])
    await getattr(watched.bluesky, closed)(watched.person)
    assert await watched.verdict(PRESSED_AGAIN) == broken(reason)


async def test_the_end_of_a_takedown_is_found_at_once(watched: Watched) -> None:
    """It is found three seconds after a verdict, with one login, since the sessions have ended."""
    await lifted(watched, "take_down", "lift", "ACCOUNT_TAKEN_DOWN", 1)


async def test_the_end_of_a_suspension_is_found_at_once(sandboxed: Watched) -> None:
    """As for a takedown; the published server has no suspensions."""
    await lifted(sandboxed, "suspend", "lift", "ACCOUNT_SUSPENDED", 1)


async def test_the_end_of_a_deactivation_is_found_at_once(watched: Watched) -> None:
    """It costs no login: the session is still valid."""
    await lifted(watched, "deactivate", "activate", "ACCOUNT_DEACTIVATED", 0)


async def test_a_rejected_password_is_not_retried_by_further_checks(
    watched: Watched,
) -> None:
    """Each answer is BROKEN with the time of the next login: after 1, 6 and 24 hours."""
    await watched.bluesky.revoke(watched.person)
    login_at = 0
    for turn, hours in enumerate((1, 6, 24)):
        first = await watched.service.verify(watched.key)
        login_at = first.next_check_at.ToMicroseconds()
        assert hours * HOUR - 10 * SECOND < login_at - watched.clock.now() <= hours * HOUR
        for again in (first, *await press(watched, 30)):
            assert status_of(again) == broken("APP_PASSWORD_REVOKED")
            assert abs(again.next_check_at.ToMicroseconds() - login_at) < SECOND
        assert await watched.spent() == turn + 1
        watched.clock.ahead += login_at - watched.clock.now() + SECOND
    assert watched.events() == ["BROKEN"]


async def test_an_outage_that_is_over_is_found_at_once(sandboxed: Watched) -> None:
    """Verifies during the outage do not delay this. It costs no login, and the next check stays
    near."""
    breakages(sandboxed).add(AnyStatus(503))
    for answer in await press(sandboxed, 20):
        assert status_of(answer) == UNVERIFIED
        assert next_check(sandboxed, answer) < 6 * MINUTE
    breakages(sandboxed).clear()
    assert await sandboxed.verdict(PRESSED_AGAIN) == HEALTHY
    assert (await sandboxed.spent(), sandboxed.events()) == (0, ["UNVERIFIED", "HEALTHY"])


async def test_checks_after_doubts_back_off(
    sandboxed: Watched,
) -> None:
    """By 5, 10 and 20 minutes; calls in between neither count nor restart it."""
    breakages(sandboxed).add(AnyStatus(503))
    for about in (5, 10, 20, 40):
        sandboxed.clock.ahead += PRESSED_AGAIN
        began = sandboxed.clock.now()
        planned = (await sandboxed.service.verify(sandboxed.key)).next_check_at.ToMicroseconds()
        assert planned - began >= 0.9 * about * MINUTE
        assert planned - sandboxed.clock.now() <= 1.1 * about * MINUTE
        await press(sandboxed, 2)
        sandboxed.clock.ahead += int(1.1 * about * MINUTE)


async def test_a_login_limit_of_the_platform_is_respected(sandboxed: Watched) -> None:
    """After a 429, no login is tried before its reset, and each answer has that time."""
    await sandboxed.bluesky.change_password(sandboxed.person, "another main password")
    breakages(sandboxed).add(RateLimit(), method="createSession")
    first, *others = await press(sandboxed, 10)
    assert status_of(first) == UNVERIFIED
    assert await sandboxed.spent() == 1
    for answer in others:
        assert status_of(answer) == UNVERIFIED
        assert next_check(sandboxed, answer) > 0
    assert await sandboxed.spent() == 1


@pytest.mark.parametrize("method", ["refreshSession", "getRepoStatus"])
async def test_a_limit_of_other_calls_is_respected(
    sandboxed: Watched, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a 429, no request is sent before its reset; the next check is HEALTHY."""
    monkeypatch.setattr(
        "service.connections.backoff.monotonic", lambda: sandboxed.clock.now() / SECOND
    )
    await sandboxed.bluesky.deactivate(sandboxed.person)
    breakages(sandboxed).add(RateLimit(), method=method)
    assert await sandboxed.verdict(0) == UNVERIFIED
    before = await sandboxed.bluesky.counts()
    for answer in await press(sandboxed, 5):
        assert status_of(answer) == UNVERIFIED
    assert await sandboxed.bluesky.counts() == before
    await sandboxed.bluesky.activate(sandboxed.person)
    breakages(sandboxed).clear()
    assert await sandboxed.verdict(next_check(sandboxed, answer)) == HEALTHY
    assert await sandboxed.spent() == 0


async def test_a_move_is_proved_after_ten_minutes(watched: Watched) -> None:
    """Further verifies do not shorten the time, and each answer has its end."""
    await watched.bluesky.migrate(watched.person)
    assert await watched.verdict(25 * HOUR) == UNVERIFIED
    moved_at = watched.row["moved_at"]
    for answer in (*await press(watched, 20), *await press(watched, 7, every=MINUTE)):
        assert status_of(answer) == UNVERIFIED
        due = answer.next_check_at.ToMicroseconds() - moved_at
        assert abs(due - 10 * MINUTE) < SECOND
    assert await watched.verdict(2 * MINUTE) == broken("SERVER_MOVED")
    assert await watched.spent() == 0


async def test_a_check_of_the_monitors_is_shared(sandboxed: Watched) -> None:
    """Callers who verify during the monitor's check get its result."""
    before = await refreshes(sandboxed)
    hang = breakages(sandboxed).add(Hang(), method="refreshSession", calls=1)
    await sandboxed.service.execute("UPDATE connections SET next_check_at = 0")
    async with asyncio.timeout(10):
        while not hang.held_up:
            await asyncio.sleep(0.01)
    calls = [asyncio.create_task(sandboxed.service.verify(sandboxed.key)) for _ in range(10)]
    await asyncio.sleep(0.1)
    hang.mend()
    answers = await asyncio.gather(*calls)
    assert {status_of(answer) for answer in answers} == {HEALTHY}
    assert await refreshes(sandboxed) == before + 1


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_corrected_clock_hides_no_check(watched: Watched, hours: int) -> None:
    """A check made while the clock was wrong does not count as one of the last two seconds."""
    watched.clock.ahead = hours * HOUR
    assert await watched.verdict(0) == HEALTHY
    await watched.bluesky.take_down(watched.person)
    watched.clock.ahead = 0
    assert await watched.verdict(0) == broken("ACCOUNT_TAKEN_DOWN")
    await watched.bluesky.lift(watched.person)
    assert await watched.verdict(PRESSED_AGAIN) == HEALTHY


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_two_nodes_share_a_check(
    database: Path, database_url: str, clock: MovedClock
) -> None:
    """Both when it is concurrent and when it has just ended; after two seconds a node makes a new
    one."""
    async with Sandbox.open() as sandbox:
        settings = {**sandbox.settings(), "DATABASE_URL": database_url, "CHECK_HOURS": "24"}
        async with running(database, settings, clock) as service:
            watched = Watched(service, sandbox, clock)
            await watched.connect()
        caller = Caller(service.tenant_id, "node", frozenset(Scope), float("inf"))
        before = await refreshes(watched)
        async with nodes(service.settings, 0, 2) as applications:
            for adapter in (
                adapter for application in applications for adapter in application.adapters
            ):
                await adapter.warm_up()

            async def verify(application: int) -> tuple[str, int]:
                found = await applications[application].health.verify(
                    caller, watched.key, "bluesky"
                )
                return found.state, found.last_verified_at

            assert len(set(await asyncio.gather(*(verify(turn % 2) for turn in range(20))))) == 1
            assert await verify(0) == await verify(1)
            assert await refreshes(watched) == before + 1
            await asyncio.sleep(2.1)
            await verify(1)
            assert await refreshes(watched) == before + 2


async def test_a_tenants_rate_of_checks_is_limited(
    database: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the limit it gets RATE_LIMIT_EXCEEDED with a retry time, and no request is sent. A
    shared check does not count, and other tenants are not delayed."""
    stopped = monotonic()
    # stop the clock, so that a slow machine refills no bucket
    monkeypatch.setattr("service.runtime.token_buckets.monotonic", lambda: stopped)
    async with Sandbox.open() as sandbox:
        few = {"LOOKUPS_PER_TENANT": "1", "LOOKUPS_PER_HOST": "1"}
        async with running(database, {**sandbox.settings(), **few}, clock) as service:
            watched = Watched(service, sandbox, clock)
            await watched.connect()
            for _ in range(50):
                await service.verify(watched.key)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await press(watched, 30)
            refusal = refusal_of(caught.value)
            assert (refusal.reason, refusal.retry_after) == ("RATE_LIMIT_EXCEEDED", 1)
            asked = await sandbox.counts()
            with pytest.raises(grpc.aio.AioRpcError):
                await press(watched, 1)
            assert await sandbox.counts() == asked
            service.api_key, _ = await service.new_key(tenant_id=await service.new_tenant())
            other = Watched(service, sandbox, clock)
            await other.connect()
            assert await other.verdict(0) == HEALTHY
            assert asked[CREATE] == 1


NO_STANDING = AnyStatus(501)


async def test_a_server_without_account_status_costs_one_login(sandboxed: Watched) -> None:
    """It has no getRepoStatus; a session that has ended is still replaced."""
    breakages(sandboxed).add(NO_STANDING, method="getRepoStatus")
    await sandboxed.bluesky.change_password(sandboxed.person, "another main password")
    assert [status_of(answer) for answer in await press(sandboxed, 5)] == [HEALTHY] * 5
    assert await sandboxed.spent() == 1


@pytest.mark.parametrize(
    "refusal", [AnyStatus(401, "AuthenticationRequired"), AnyStatus(401, "AuthMissing")]
)
async def test_a_rejection_that_proves_nothing_is_not_retried_at_once(
    sandboxed: Watched, refusal: AnyStatus
) -> None:
    """From a server without getRepoStatus, or with an error name that is ambiguous."""
    breakages(sandboxed).add(NO_STANDING, method="getRepoStatus")
    breakages(sandboxed).add(refusal, method="createSession")
    await sandboxed.bluesky.change_password(sandboxed.person, "another main password")
    for answer in await press(sandboxed, 20):
        assert status_of(answer) == UNVERIFIED
    assert await sandboxed.spent() == 1
    sandboxed.clock.ahead += HOUR
    assert status_of(await sandboxed.service.verify(sandboxed.key)) == UNVERIFIED
    assert await sandboxed.spent() == 2
    breakages(sandboxed).clear()
    sandboxed.clock.ahead += 6 * HOUR
    assert status_of(await sandboxed.service.verify(sandboxed.key)) == HEALTHY
    assert (await sandboxed.spent(), sandboxed.events()) == (3, ["UNVERIFIED", "HEALTHY"])
